//! Decimal numbers in text form, compared exactly. A security version of 20 digits must not be rounded to a double.

use std::cmp::Ordering;

/// A decimal number without an exponent: `-12.50`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros.
    whole: &'a str,
    /// Digits behind the point, without trailing zeros.
    fraction: &'a str,
}

impl<'a> Number<'a> {
    /// Reads `[-]digits[.digits]`; everything else (blanks, `+`, exponents, hexadecimal) is no number.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (minus, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
        let valid = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !valid(whole) || !fraction.is_none_or(valid) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.unwrap_or_default().trim_end_matches('0');
        Some(Self { negative: minus && !(whole.is_empty() && fraction.is_empty()), whole, fraction })
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }

    fn magnitude(self, other: Self) -> Ordering {
        let key = |number: Self| (number.whole.len(), number.whole, number.fraction);
        key(self).cmp(&key(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_compared_exactly() {
        use Ordering::{Equal, Greater, Less};
        let table = [
            ("1", "2", Less),
            ("10", "9", Greater),
            ("007", "7", Equal),
            ("-0", "0.0", Equal),
            ("-3", "2", Less),
            ("-3", "-2", Less),
            ("1.5", "1.50", Equal),
            ("1.05", "1.5", Less),
            ("18446744073709551616", "18446744073709551615", Greater),
            ("9007199254740993", "9007199254740992", Greater),
        ];
        for (a, b, expected) in table {
            let (x, y) = (Number::read(a).unwrap(), Number::read(b).unwrap());
            assert_eq!((x.compare(y), y.compare(x)), (expected, expected.reverse()), "{a} {b}");
        }
        for bad in ["", "-", "+1", " 1", "1 ", "1e3", "0x10", "1.", ".5", "1.2.3", "--1", "١", "NaN", "true"] {
            assert_eq!(Number::read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn integers_keep_their_order(a: i64, b: i64) {
            let (x, y) = (a.to_string(), b.to_string());
            prop_assert_eq!(Number::read(&x).unwrap().compare(Number::read(&y).unwrap()), a.cmp(&b));
        }
    }
}
