//! How many requests may be sent again: a bucket of tokens, filled by what goes well.
//!
//! As in Finagle's retry budget (`RetryBudget`, a share of requests and a reserve), but for one thing: there
//! every request fills the bucket, here only one that was answered well. Where nothing is, clients ask again
//! by themselves, and a budget that grew with them would double the load when it can least be borne. And where what is sent
//! again fails as well, it costs more, and time brings less ([`Worth`]).

use std::sync::atomic::{AtomicU64, Ordering};

use buttress_core::clock::Instant;
use buttress_core::config::{ConfigError, require, require_share};

use super::worth::Worth;

/// How many requests may be sent again.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Budget {
    /// For each request that was answered well, so much of one may be sent again. 0 to 1; default 0.2.
    pub share: f64,
    /// And so many a second, whatever becomes of others; down to a thirtieth of that while what is sent again fails as well. 0 or
    /// more; default 10.
    pub per_second: f64,
    /// What was not used is kept up to so many, and there are so many to begin with. From 1 to a million;
    /// default 100.
    pub burst: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(0.2, 10.0)
    }
}

impl Budget {
    /// A share of what is answered well, and so many a second.
    pub const fn new(share: f64, per_second: f64) -> Self {
        Self {
            share,
            per_second,
            burst: 100,
        }
    }

    /// What was not used is kept up to so many.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        require_share("budget.share", self.share)?;
        let (rate, burst) = (self.per_second, self.burst);
        require((0.0..=1e6).contains(&rate), "budget.per_second", || {
            format!("{rate} is no rate; use 0 to 1000000")
        })?;
        require((1..=1_000_000).contains(&burst), "budget.burst", || {
            format!("{burst} keeps none or too many; use 1 to 1000000")
        })
    }
}

/// So many parts make one token.
const ONE: u64 = 1_000;

/// The bucket. While it is full, as it is when all is well, whoever fills it only reads.
#[derive(Debug)]
pub(super) struct Bucket {
    parts: AtomicU64,
    filled_at: AtomicU64,
    worth: Worth,
}

impl Bucket {
    pub(super) fn full(budget: &Budget, now: Instant) -> Self {
        Self {
            parts: AtomicU64::new(most(budget)),
            filled_at: AtomicU64::new(now.as_nanos()),
            worth: Worth::whole(),
        }
    }

    /// Whether there are so many parts.
    #[inline]
    pub(super) fn holds(&self, parts: u64) -> bool {
        self.parts.load(Ordering::Relaxed) >= parts
    }

    /// A request was answered well.
    pub(super) fn earn(&self, budget: &Budget) {
        self.add(parts(budget.share), budget);
    }

    /// Takes what it costs to send one again, if that is there: how much.
    pub(super) fn take(&self, budget: &Budget, now: Instant) -> Option<u64> {
        self.fill(budget, now);
        let price = self.price(budget);
        let order = Ordering::Relaxed;
        let take = |parts: u64| parts.checked_sub(price);
        self.parts.fetch_update(order, order, take).ok()?;
        Some(price)
    }

    /// What was taken was not used.
    pub(super) fn give_back(&self, taken: u64, budget: &Budget) {
        self.add(taken, budget);
    }

    /// One that was sent again was answered well, or failed.
    pub(super) fn learn(&self, well: bool) {
        self.worth.learn(well);
    }

    /// How many can be sent again.
    pub(super) fn left(&self, budget: &Budget, now: Instant) -> u64 {
        self.fill(budget, now);
        self.parts.load(Ordering::Relaxed) / self.price(budget)
    }

    /// No more than is ever there, or nothing would be sent again after an outage.
    fn price(&self, budget: &Budget) -> u64 {
        self.worth.price(ONE).min(most(budget))
    }

    /// Adds what time has brought.
    fn fill(&self, budget: &Budget, now: Instant) {
        let order = Ordering::Relaxed;
        let filled_at = self.filled_at.load(order);
        let passed = now.saturating_since(Instant::from_nanos(filled_at));
        let earned = parts(budget.per_second * self.worth.share() * passed.as_secs_f64());
        // What is less than a part is left to the next.
        if earned > 0
            && (self.filled_at)
                .compare_exchange(filled_at, now.as_nanos(), order, order)
                .is_ok()
        {
            self.add(earned, budget);
        }
    }

    fn add(&self, parts: u64, budget: &Budget) {
        let order = Ordering::Relaxed;
        let add = |held: u64| Some(held.saturating_add(parts).min(most(budget)));
        // It always adds.
        let _ = self.parts.fetch_update(order, order, add);
    }
}

/// As many parts as it takes.
pub(super) fn most(budget: &Budget) -> u64 {
    u64::from(budget.burst) * ONE
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates; parts are counted whole"
)]
fn parts(tokens: f64) -> u64 {
    (tokens * ONE as f64) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const START: Instant = Instant::from_nanos(1_000_000_000);

    fn taken(bucket: &Bucket, budget: &Budget, now: Instant) -> usize {
        (0..10_000)
            .take_while(|_| bucket.take(budget, now).is_some())
            .count()
    }

    #[test]
    fn what_is_answered_well_brings_its_share_and_time_a_few() {
        let budget = Budget::new(0.2, 10.0).burst(50);
        let bucket = Bucket::full(&budget, START);
        assert_eq!(taken(&bucket, &budget, START), 50);
        (0..100).for_each(|_| bucket.earn(&budget));
        assert_eq!(taken(&bucket, &budget, START), 20);
        let later = START.saturating_add(Duration::from_millis(500));
        assert_eq!(taken(&bucket, &budget, later), 5);
        (0..10_000).for_each(|_| bucket.earn(&budget));
        assert_eq!(bucket.left(&budget, later), 50, "and no more than is kept");
    }

    proptest! {
        /// Whatever is asked for and when: without good answers there are the first ones and those that time
        /// brings, at any step of the clock.
        #[test]
        fn in_an_outage_it_never_grows(
            gaps in proptest::collection::vec(0..2_000_u64, 1..300),
            per_second in 0.0..100.0_f64,
            burst in 1..200_u32,
        ) {
            let budget = Budget::new(1.0, per_second).burst(burst);
            let bucket = Bucket::full(&budget, START);
            let (mut now, mut got) = (START, 0.0);
            for gap in gaps {
                now = now.saturating_add(Duration::from_millis(gap));
                got += f64::from(u8::from(bucket.take(&budget, now).is_some()));
                let passed = now.saturating_since(START).as_secs_f64();
                prop_assert!(got <= f64::from(burst) + per_second * passed + 1e-6);
            }
        }
    }

    #[test]
    fn a_budget_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
        let refused = [
            (Budget::new(1.1, 0.0), "budget.share"),
            (Budget::new(f64::NAN, 0.0), "budget.share"),
            (Budget::new(0.0, -1.0), "budget.per_second"),
            (Budget::default().burst(0), "budget.burst"),
        ];
        for (budget, field) in refused {
            assert_eq!(budget.validate().unwrap_err().field(), field);
        }
        assert_eq!(Budget::default().validate(), Ok(()));
    }
}
