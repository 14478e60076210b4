//! Byte ranges: `Range` and `x-ms-range`.

use super::headers;
use crate::http::Request;
use crate::refusal::Refusal;

/// A range that lies inside a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// First byte.
    pub start: u64,
    /// Number of bytes, at least one.
    pub length: u64,
}

/// The range that a request asks for; `x-ms-range` wins over `Range`. None: the whole blob.
///
/// Azure knows `bytes=a-` and `bytes=a-b`. Other forms of `Range` are ignored (RFC 9110, section 14.2), in
/// `x-ms-range` they are refused.
pub(crate) fn requested(request: &Request, length: u64) -> Result<Option<Range>, Refusal> {
    let (text, strict) = match (request.header("x-ms-range"), request.header("range")) {
        (Some(text), _) => (text, true),
        (None, Some(text)) => (text, false),
        (None, None) => return Ok(None),
    };
    let Some((start, end)) = parse(text) else {
        return if strict { Err(headers::invalid("x-ms-range")) } else { Ok(None) };
    };
    if start >= length {
        return Err(Refusal::new(
            416,
            "InvalidRange",
            "The range specified is invalid for the current size of the resource.",
        )
        .header("content-range", format!("bytes */{length}")));
    }
    let end = end.map_or(length, |end| end.saturating_add(1).min(length));
    Ok(Some(Range { start, length: end - start }))
}

fn parse(text: &str) -> Option<(u64, Option<u64>)> {
    let (start, end) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let start: u64 = digits(start)?;
    if end.is_empty() {
        return Some((start, None));
    }
    let end: u64 = digits(end)?;
    (start <= end).then_some((start, Some(end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn ranges() {
        for (header, text, length, expected) in [
            ("range", "bytes=0-", 10, "0+10"),
            ("range", "bytes=0-0", 10, "0+1"),
            ("range", "bytes=3-5", 10, "3+3"),
            ("range", "bytes=3-99", 10, "3+7"),
            ("range", "bytes=10-", 10, "InvalidRange"),
            ("range", "bytes=0-", 0, "InvalidRange"),
            ("range", "bytes=-5", 10, "all"),
            ("range", "bytes=5-3", 10, "all"),
            ("range", "bytes=+1-3", 10, "all"),
            ("range", "items=1-3", 10, "all"),
            ("x-ms-range", "bytes=9-18446744073709551615", 10, "9+1"),
            ("x-ms-range", "bytes=-5", 10, "InvalidHeaderValue"),
            ("other", "bytes=1-2", 10, "all"),
        ] {
            let request = http::Request::get("https://a.blob.core.windows.net/c/b").header(header, text);
            let request = Request::parse(request.body(Bytes::new()).unwrap()).unwrap();
            let shown = match requested(&request, length) {
                Ok(None) => "all".to_owned(),
                Ok(Some(range)) => format!("{}+{}", range.start, range.length),
                Err(refusal) => refusal.code,
            };
            assert_eq!(shown, expected, "{header}: {text} of {length}");
        }
    }
}
