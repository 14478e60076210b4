//! Durations of rotation policies: ISO 8601, such as `P90D`, `P3M`, `PT48H` or `P1Y10D`.

use chrono::{DateTime, Duration, Months, Utc};

/// A duration: calendar months, and seconds besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    months: u32,
    seconds: i64,
}

impl Span {
    /// Reads a duration; `None` for what is none, or has a number of more than five digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('P')?;
        let (date, time) = match text.split_once('T') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None if text.is_empty() => return None,
            None => (text, ""),
        };
        let mut span = Self { months: 0, seconds: 0 };
        span.add(date, &[('Y', 12, 0), ('M', 1, 0), ('W', 0, 604_800), ('D', 0, 86_400)])?;
        span.add(time, &[('H', 0, 3_600), ('M', 0, 60), ('S', 0, 1)])?;
        Some(span)
    }

    /// Adds numbers with their units (letter, months, seconds), which come in order, each at most once.
    fn add(&mut self, mut rest: &str, mut units: &[(char, u32, i64)]) -> Option<()> {
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u32 = rest[..digits].parse().ok().filter(|_| digits <= 5)?;
            let unit = rest[digits..].chars().next()?;
            let at = units.iter().position(|(letter, ..)| *letter == unit)?;
            let (_, months, seconds) = units[at];
            self.months += months * number;
            self.seconds += seconds * i64::from(number);
            units = &units[at + 1..];
            rest = &rest[digits + 1..];
        }
        Some(())
    }

    /// The instant that lies this span behind another; `None` beyond the calendar.
    pub fn after(self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        instant.checked_add_months(Months::new(self.months))?.checked_add_signed(Duration::seconds(self.seconds))
    }

    /// The instant that lies this span before another; `None` beyond the calendar.
    pub fn before(self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        instant.checked_sub_signed(Duration::seconds(self.seconds))?.checked_sub_months(Months::new(self.months))
    }

    /// Its length for comparisons: a year counts 365 days, another month 30.
    pub fn nominal(self) -> Duration {
        let (years, months) = (i64::from(self.months / 12), i64::from(self.months % 12));
        Duration::days(years * 365 + months * 30) + Duration::seconds(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let day = 86_400;
        let rows = [
            ("P90D", Some((0, 90 * day))),
            ("P3M", Some((3, 0))),
            ("P18M", Some((18, 0))),
            ("PT48H", Some((0, 2 * day))),
            ("P1Y10D", Some((12, 10 * day))),
            ("P2W", Some((0, 14 * day))),
            ("P1Y2M3DT4H5M6S", Some((14, 3 * day + 4 * 3600 + 5 * 60 + 6))),
            ("P0D", Some((0, 0))),
            ("", None),
            ("P", None),
            ("PT", None),
            ("P1DT", None),
            ("90D", None),
            ("P90", None),
            ("PD", None),
            ("P-1D", None),
            ("P1.5D", None),
            ("P1D1Y", None),
            ("P1D1D", None),
            ("P1H", None),
            ("PT1D", None),
            ("PT1HT1M", None),
            ("P123456D", None),
            ("p90d", None),
            ("P٣D", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Span::parse(text), expected.map(|(months, seconds)| Span { months, seconds }), "{text}");
        }
    }

    #[test]
    fn months_follow_the_calendar() {
        let rows = [
            ("2026-01-31T00:00:00Z", "P1M", "2026-02-28T00:00:00Z"),
            ("2024-02-29T12:00:00Z", "P1Y", "2025-02-28T12:00:00Z"),
            ("2026-11-22T10:00:00Z", "P2M", "2027-01-22T10:00:00Z"),
            ("2026-11-22T10:00:00Z", "P7D", "2026-11-29T10:00:00Z"),
        ];
        for (from, span, expected) in rows {
            let instant = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
            assert_eq!(Span::parse(span).unwrap().after(instant(from)), Some(instant(expected)), "{from} {span}");
        }
        let end: DateTime<Utc> = "2026-03-31T00:00:00Z".parse().unwrap();
        let before = Span::parse("P1M").unwrap().before(end);
        assert_eq!(before, Some("2026-02-28T00:00:00Z".parse().unwrap()));
        assert_eq!(Span::parse("P2Y1M1D").unwrap().nominal(), Duration::days(2 * 365 + 30 + 1));
    }
}
