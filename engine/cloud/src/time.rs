//! How instants are written on the wire.

use chrono::{DateTime, SecondsFormat, Utc};

/// RFC 3339 with milliseconds: `2026-01-02T03:04:05.678Z`, as ARM and the audit log write it.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// RFC 9110 date: `Fri, 02 Jan 2026 03:04:05 GMT`, as headers and Storage write it.
pub(crate) fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
