//! When to try again: exponential backoff with full jitter, within a budget of time.
//!
//! Full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015) draws each wait evenly between
//! nothing and the current ceiling, so that many runs do not come back in step. A wait that the server named is kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sealbook_model::CloudName;
use tokio::time::Instant;

/// Where waits get their randomness: numbers in `[0, 1)`.
#[derive(Clone)]
pub struct Jitter(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Jitter {
    /// Asks `draw` for numbers.
    pub fn new(draw: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    fn draw(&self) -> f64 {
        (self.0)().clamp(0.0, 1.0)
    }
}

impl Default for Jitter {
    /// Evenly distributed random numbers.
    fn default() -> Self {
        Self::new(|| f64::from(u32::from_be_bytes(sealbook_crypto::random())) / (f64::from(u32::MAX) + 1.0))
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter(..)")
    }
}

/// How patient a cloud wants its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Ceiling of the first wait; it doubles with every retry.
    pub base: Duration,
    /// The highest ceiling.
    pub cap: Duration,
    /// How long a failure may last, unless the playbook says otherwise.
    pub within: Duration,
    /// How long a lesson may take to show its result, unless the playbook says otherwise.
    pub lesson: Duration,
}

impl Pace {
    /// The pace of a cloud. The embedded one answers at once and forgets faults quickly.
    #[must_use]
    pub fn of(cloud: CloudName) -> Self {
        let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
        match cloud {
            CloudName::Embedded => {
                Self { base: millis(100), cap: millis(400), within: seconds(60), lesson: seconds(60) }
            }
            CloudName::Azure => {
                Self { base: millis(500), cap: seconds(30), within: seconds(300), lesson: seconds(600) }
            }
        }
    }
}

/// The patience with one failure. It starts when the failure is first seen.
#[derive(Debug)]
pub(super) struct Budget {
    pace: Pace,
    within: Duration,
    jitter: Jitter,
    since: Option<Instant>,
    retry: u32,
}

impl Budget {
    pub(super) fn new(pace: Pace, within: Duration, jitter: Jitter) -> Self {
        Self { pace, within, jitter, since: None, retry: 0 }
    }

    /// The wait before the next try; none when the budget is spent.
    pub(super) fn next(&mut self, server: Option<Duration>) -> Option<Duration> {
        let left = self.within.saturating_sub(self.elapsed());
        self.since.get_or_insert_with(Instant::now);
        if left.is_zero() {
            return None;
        }
        let ceiling = self.pace.base.saturating_mul(1 << self.retry.min(20)).min(self.pace.cap);
        let drawn = ceiling.mul_f64(self.jitter.draw());
        let wait = match server {
            // Coming back before the server wants it only costs another refusal.
            Some(asked) if asked > left => return None,
            Some(asked) => (asked + drawn.min(self.pace.base)).min(left),
            None => drawn.min(left),
        };
        self.retry += 1;
        Some(wait)
    }

    /// Starts afresh, since something moved.
    pub(super) fn reset(&mut self) {
        self.since = None;
        self.retry = 0;
    }

    pub(super) fn retries(&self) -> u32 {
        self.retry
    }

    /// How long the failure has lasted.
    pub(super) fn elapsed(&self) -> Duration {
        self.since.map(|since| since.elapsed()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(within: u64) -> Pace {
        let seconds = Duration::from_secs;
        Pace { base: seconds(1), cap: seconds(8), within: seconds(within), lesson: seconds(1) }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_the_cap_and_end_with_the_budget() {
        let mut budget = Budget::new(pace(30), pace(30).within, Jitter::new(|| 1.0));
        let mut waits = Vec::new();
        while let Some(wait) = budget.next(None) {
            waits.push(wait.as_secs());
            tokio::time::advance(wait).await;
        }
        // The last wait is cut to what is left, so that one try falls on the very end.
        assert_eq!(waits, [1, 2, 4, 8, 8, 7]);
        assert_eq!((budget.retries(), budget.elapsed().as_secs()), (6, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_wish_is_kept() {
        let rows = [
            (Some(5), 0.0, 30, Some(5_000)),
            (Some(5), 1.0, 30, Some(6_000)),
            (Some(30), 1.0, 30, Some(30_000)),
            (Some(31), 0.0, 30, None),
            (None, 0.5, 30, Some(500)),
            (None, 0.0, 30, Some(0)),
            (None, 0.5, 0, None),
        ];
        for (asked, draw, within, expected) in rows {
            let mut budget = Budget::new(pace(within), pace(within).within, Jitter::new(move || draw));
            let wait = budget.next(asked.map(Duration::from_secs)).map(|wait| wait.as_millis());
            assert_eq!(wait, expected, "asked {asked:?}, drew {draw}, within {within}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_starts_the_budget_afresh() {
        let mut budget = Budget::new(pace(10), pace(10).within, Jitter::new(|| 1.0));
        assert!(budget.next(None).is_some());
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(budget.next(None).is_none());
        budget.reset();
        assert_eq!(budget.next(None), Some(Duration::from_secs(1)));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_cap_or_the_budget(draw in 0.0..1.0f64, tries in 1..40u32, within in 1..1000u64) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let mut budget = Budget::new(pace(within), pace(within).within, Jitter::new(move || draw));
                for _ in 0..tries {
                    let Some(wait) = budget.next(None) else { break };
                    prop_assert!(wait <= Duration::from_secs(8) && budget.elapsed() + wait <= Duration::from_secs(within));
                    tokio::time::advance(wait).await;
                }
                Ok(())
            })?;
        }

        #[test]
        fn random_jitter_is_a_fraction(_n in 0..100) {
            let drawn = Jitter::default().draw();
            prop_assert!((0.0..1.0).contains(&drawn));
        }
    }
}
