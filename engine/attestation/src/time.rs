//! Instants in words.

/// An instant (unix seconds) as RFC 3339 in UTC, for people; outside the years 1970 to 9999 as the number.
pub(crate) fn utc(seconds: i64) -> String {
    let date = u64::try_from(seconds)
        .ok()
        .and_then(|seconds| der::DateTime::from_unix_duration(std::time::Duration::from_secs(seconds)).ok());
    date.map_or_else(|| format!("{seconds} s after 1970"), |date| date.to_string())
}
