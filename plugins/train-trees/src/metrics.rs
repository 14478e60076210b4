//! How good a classifier is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often which class was predicted for which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confusion {
    /// 0, and predicted as 0.
    pub true_negatives: u32,
    /// 0, but predicted as 1.
    pub false_positives: u32,
    /// 1, but predicted as 0.
    pub false_negatives: u32,
    /// 1, and predicted as 1.
    pub true_positives: u32,
}

/// How well one class is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Class {
    /// 0 or 1.
    pub class: u32,
    /// The share of rows predicted as this class that are of it. None: no row was.
    pub precision: Option<f64>,
    /// The share of rows of this class that were predicted so. None: there are none.
    pub recall: Option<f64>,
    /// The harmonic mean of both. None: neither is there.
    pub f1: Option<f64>,
    /// Rows of this class.
    pub support: u32,
}

impl Confusion {
    /// Counts: for each row what it is and what was predicted.
    pub fn of(rows: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut seen = Self::default();
        for row in rows {
            *match row {
                (false, false) => &mut seen.true_negatives,
                (false, true) => &mut seen.false_positives,
                (true, false) => &mut seen.false_negatives,
                (true, true) => &mut seen.true_positives,
            } += 1;
        }
        seen
    }

    /// Rows.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.negatives() + self.positives()
    }

    fn negatives(&self) -> u32 {
        self.true_negatives + self.false_positives
    }

    fn positives(&self) -> u32 {
        self.false_negatives + self.true_positives
    }

    /// The share that was predicted as it is; 0 of no rows.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        share(self.true_negatives + self.true_positives, self.total()).unwrap_or_default()
    }

    /// The accuracy of always predicting the commoner class: what a model has to beat.
    #[must_use]
    pub fn baseline(&self) -> f64 {
        share(self.negatives().max(self.positives()), self.total()).unwrap_or_default()
    }

    /// Both classes.
    #[must_use]
    pub fn classes(&self) -> [Class; 2] {
        let class = |class, hits: u32, missed: u32, others: u32| Class {
            class,
            precision: share(hits, hits + others),
            recall: share(hits, hits + missed),
            f1: share(2 * hits, 2 * hits + missed + others),
            support: hits + missed,
        };
        [
            class(0, self.true_negatives, self.false_positives, self.false_negatives),
            class(1, self.true_positives, self.false_negatives, self.false_positives),
        ]
    }
}

/// A share, rounded to four decimals.
fn share(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| rounded(f64::from(part) / f64::from(whole)))
}

/// A number to four decimals, so that outputs read well.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn confusion(cells: [u32; 4]) -> Confusion {
        let [true_negatives, false_positives, false_negatives, true_positives] = cells;
        Confusion { true_negatives, false_positives, false_negatives, true_positives }
    }

    #[test]
    fn the_numbers_are_those_that_one_gets_by_hand() {
        // 72 + 39 of 154; 72/88, 72/99, 2·72/(2·72+27+16); 39/66, 39/55, 2·39/(2·39+16+27).
        let c = confusion([72, 27, 16, 39]);
        assert_eq!((c.total(), c.accuracy(), c.baseline()), (154, 0.7208, 0.6429));
        let [zero, one] = c.classes();
        let (p, r, f, s) = (Some(0.8182), Some(0.7273), Some(0.7701), 99);
        assert_eq!(zero, Class { class: 0, precision: p, recall: r, f1: f, support: s });
        let (p, r, f, s) = (Some(0.5909), Some(0.7091), Some(0.6446), 55);
        assert_eq!(one, Class { class: 1, precision: p, recall: r, f1: f, support: s });
    }

    #[test]
    fn what_there_is_none_of_has_no_share() {
        let [zero, one] = confusion([5, 0, 2, 0]).classes();
        assert_eq!((zero.recall, zero.precision), (Some(1.0), Some(0.7143)));
        assert_eq!((one.precision, one.recall, one.f1), (None, Some(0.0), Some(0.0)));
        let [_, one] = confusion([5, 0, 0, 0]).classes();
        assert_eq!((one.precision, one.recall, one.f1, one.support), (None, None, None, 0));
        assert_eq!(Confusion::default().accuracy(), 0.0);
    }

    proptest! {
        #[test]
        fn counts_and_shares_agree(rows in proptest::collection::vec(any::<(bool, bool)>(), 1..200)) {
            let c = Confusion::of(rows.iter().copied());
            prop_assert_eq!(c.total() as usize, rows.len());
            let right = rows.iter().filter(|(is, said)| is == said).count() as f64 / rows.len() as f64;
            prop_assert!((c.accuracy() - right).abs() <= 0.00005);
            let [zero, one] = c.classes();
            prop_assert_eq!(zero.support + one.support, c.total());
            for class in [zero, one] {
                if let (Some(p), Some(r), Some(f)) = (class.precision, class.recall, class.f1) {
                    prop_assert!(p.min(r) - 1e-4 <= f && f <= p.max(r) + 1e-4);
                }
            }
        }
    }
}
