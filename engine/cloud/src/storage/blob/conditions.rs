//! Conditional requests (RFC 9110, section 13) with Azure's answers.

use chrono::{DateTime, Utc};

use super::headers;
use crate::http::Request;
use crate::refusal::Refusal;

/// The conditions of a request.
struct Conditions<'a> {
    matches: Option<&'a str>,
    none_match: Option<&'a str>,
    modified_since: Option<DateTime<Utc>>,
    unmodified_since: Option<DateTime<Utc>>,
}

impl<'a> Conditions<'a> {
    fn of(request: &'a Request, prefix: &str) -> Result<Self, Refusal> {
        let text = |name: &str| request.header(&format!("{prefix}{name}"));
        let date = |name: &str| {
            let parse = |text| DateTime::parse_from_rfc2822(text).map_err(|_| headers::invalid(name));
            Ok::<_, Refusal>(text(name).map(parse).transpose()?.map(|date| date.with_timezone(&Utc)))
        };
        Ok(Self {
            matches: text("if-match"),
            none_match: text("if-none-match"),
            modified_since: date("if-modified-since")?,
            unmodified_since: date("if-unmodified-since")?,
        })
    }

    /// Whether the resource still is what the client thinks it is.
    fn stands(&self, etag: &str, modified: DateTime<Utc>) -> bool {
        self.matches.is_none_or(|wanted| names(wanted, etag))
            && self.unmodified_since.is_none_or(|since| modified.timestamp() <= since.timestamp())
    }

    /// Whether the resource is news to the client.
    fn is_news(&self, etag: &str, modified: DateTime<Utc>) -> bool {
        match self.none_match {
            Some(known) => !names(known, etag),
            None => self.modified_since.is_none_or(|since| modified.timestamp() > since.timestamp()),
        }
    }
}

/// Whether a list of entity tags names this one; `*` names every one.
fn names(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(|item| item.trim().trim_start_matches("W/"))
        .any(|item| item == "*" || item == etag || item.trim_matches('"') == etag.trim_matches('"'))
}

fn failed() -> Refusal {
    Refusal::new(412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
}

/// Checks the conditions of a read.
pub(super) fn check_read(request: &Request, etag: &str, modified: DateTime<Utc>) -> Result<(), Refusal> {
    let conditions = Conditions::of(request, "")?;
    if !conditions.stands(etag, modified) {
        return Err(failed());
    }
    if !conditions.is_news(etag, modified) {
        return Err(Refusal { status: 304, ..failed() }.header("etag", etag));
    }
    Ok(())
}

/// Checks the conditions of a change to what is there.
pub(super) fn check_change(request: &Request, etag: &str, modified: DateTime<Utc>) -> Result<(), Refusal> {
    let conditions = Conditions::of(request, "")?;
    if conditions.stands(etag, modified) && conditions.is_news(etag, modified) { Ok(()) } else { Err(failed()) }
}

/// Checks the conditions that a copy puts on its source.
pub(super) fn check_source(request: &Request, etag: &str, modified: DateTime<Utc>) -> Result<(), Refusal> {
    let conditions = Conditions::of(request, "x-ms-source-")?;
    if conditions.stands(etag, modified) && conditions.is_news(etag, modified) {
        return Ok(());
    }
    Err(Refusal::new(
        412,
        "SourceConditionNotMet",
        "The source condition specified using HTTP conditional header(s) is not met.",
    ))
}

/// Checks the conditions of a write over what is there (entity tag and time), or to where nothing is.
pub(super) fn check_create(request: &Request, present: Option<(&str, DateTime<Utc>)>) -> Result<(), Refusal> {
    let conditions = Conditions::of(request, "")?;
    match present {
        None if conditions.matches.is_some() => Err(failed()),
        None => Ok(()),
        Some(_) if conditions.none_match == Some("*") => {
            Err(Refusal::new(409, "BlobAlreadyExists", "The specified blob already exists."))
        }
        Some((etag, modified)) if conditions.stands(etag, modified) && conditions.is_news(etag, modified) => Ok(()),
        Some(_) => Err(failed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const ETAG: &str = "\"0x8D1\"";
    const OTHER: &str = "\"0x8D2\"";
    const BEFORE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    const SAME: &str = "Fri, 02 Jan 2026 00:00:00 GMT";

    fn request(header: &str, value: &str) -> Request {
        let request = http::Request::get("https://a.blob.core.windows.net/c/b").header(header, value);
        Request::parse(request.body(Bytes::new()).unwrap()).unwrap()
    }

    #[test]
    fn table() {
        let modified: DateTime<Utc> = "2026-01-02T00:00:00.5Z".parse().unwrap();
        let shown = |result: Result<(), Refusal>| result.err().map_or(200, |refusal| refusal.status);
        // Header, value, then the status of a read, of a change, of a write over the blob, and of a write to nothing.
        for (header, value, read, change, over, fresh) in [
            ("if-match", ETAG, 200, 200, 200, 412),
            ("if-match", OTHER, 412, 412, 412, 412),
            ("if-match", "*", 200, 200, 200, 412),
            ("if-none-match", ETAG, 304, 412, 412, 200),
            ("if-none-match", OTHER, 200, 200, 200, 200),
            ("if-none-match", "*", 304, 412, 409, 200),
            ("if-modified-since", BEFORE, 200, 200, 200, 200),
            ("if-modified-since", SAME, 304, 412, 412, 200),
            ("if-unmodified-since", BEFORE, 412, 412, 412, 200),
            ("if-unmodified-since", SAME, 200, 200, 200, 200),
            ("if-unmodified-since", "yesterday", 400, 400, 400, 400),
        ] {
            let request = request(header, value);
            let found = (
                shown(check_read(&request, ETAG, modified)),
                shown(check_change(&request, ETAG, modified)),
                shown(check_create(&request, Some((ETAG, modified)))),
                shown(check_create(&request, None)),
            );
            assert_eq!(found, (read, change, over, fresh), "{header}: {value}");
        }
    }
}
