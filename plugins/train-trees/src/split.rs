//! Which rows are learnt from, and which are held back to judge what was learnt.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// Row numbers, of each part in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to learn from.
    pub train: Vec<usize>,
    /// Rows held back.
    pub test: Vec<usize>,
}

/// Holds back `percent` of `rows`, rounded up, chosen by chance: a shuffle (Fisher and Yates) with xoshiro256++, whose
/// stream its crate keeps stable. The same seed holds back the same rows on every machine.
#[must_use]
pub fn split(rows: usize, percent: u32, seed: u64) -> Split {
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..rows).collect();
    for last in (1..rows).rev() {
        // The upper half of the product is below last + 1. Its bias is one in 2^64 / rows.
        let other = (u128::from(chance.next_u64()) * (last as u128 + 1)) >> 64;
        order.swap(last, other as usize);
    }
    let held = (rows * percent as usize).div_ceil(100).min(rows);
    let mut train = order.split_off(held);
    train.sort_unstable();
    order.sort_unstable();
    Split { train, test: order }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_seed_always_holds_back_the_same_rows() {
        assert_eq!(split(10, 20, 42).test, split(10, 20, 42).test);
        let usual = split(768, 20, 42);
        assert_eq!((usual.train.len(), usual.test.len()), (614, 154));
        assert_eq!(&usual.test[..5], [5, 6, 8, 24, 26]);
        assert_ne!(usual, split(768, 20, 43));
    }

    #[test]
    fn every_row_is_held_back_equally_often() {
        let mut times = [0_u32; 20];
        for seed in 0..4_000 {
            split(20, 25, seed).test.iter().for_each(|r| times[*r] += 1);
        }
        // 1000 are expected, with a standard deviation of 27.
        assert!(times.iter().all(|t| (870..1130).contains(t)), "{times:?}");
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_part(rows in 0_usize..500, percent in 0_u32..=100, seed: u64) {
            let Split { train, test } = split(rows, percent, seed);
            prop_assert_eq!(test.len(), (rows * percent as usize).div_ceil(100));
            let mut all = [train, test].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..rows).collect::<Vec<_>>());
        }
    }
}
