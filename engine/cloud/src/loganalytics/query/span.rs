//! Time spans of queries: ISO 8601 durations and intervals.

use chrono::{DateTime, Duration, Utc};

use super::parser::instant;

/// From when to when a span reaches: `P1D` up to now, `start/end`, `start/P1D` or `P1D/end`.
pub(super) fn parse(text: &str, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let Some((from, to)) = text.split_once('/') else {
        return Some((now.checked_sub_signed(duration(text)?)?, now.checked_add_signed(Duration::milliseconds(1))?));
    };
    let (from, to) = match (instant(from), instant(to)) {
        (Some(from), Some(to)) => (from, to),
        (Some(from), None) => (from, from.checked_add_signed(duration(to)?)?),
        (None, Some(to)) => (to.checked_sub_signed(duration(from)?)?, to),
        (None, None) => return None,
    };
    (from <= to).then_some((from, to))
}

/// Reads a duration of weeks, days, hours, minutes and seconds; the last may have a fraction.
fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('P')?;
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = parts(date, &[('W', 604_800.0), ('D', 86_400.0)])?;
    let seconds = days + parts(time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    Duration::try_milliseconds((seconds * 1_000.0) as i64)
}

fn parts(mut rest: &str, mut units: &[(char, f64)]) -> Option<f64> {
    let mut sum = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next()?;
        let at = units.iter().position(|(letter, _)| *letter == unit)?;
        sum += number * units[at].1;
        units = &units[at + 1..];
        rest = &rest[end + 1..];
    }
    Some(sum)
}
