//! What the pool shows as a whole, so that an endpoint is judged by what is wrong with it and not by
//! what is wrong with all of them.
//!
//! Each figure is a median over endpoints, which two bad ones in five cannot move. It is brought up to
//! date at most once a millisecond, by a pick.

mod chance;
mod overrun;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::clock::Instant;

use crate::budget::{BUSY, PRESSED};
use crate::evidence::{INDISTINCT, Pool, left_after};
use chance::{FEWEST, chance_run, unlikely_run};
use overrun::{LONG_AGO, Overrun};

/// The median latency of a pool that has shown none.
const DEFAULT_LATENCY: Duration = Duration::from_millis(10);
/// The figures are at most so many nanoseconds old when a request is sent.
const REFRESH: u64 = 1_000_000;
/// How often chance may have each endpoint shunned in the time in which evidence fades, which is as long as it then is at
/// most. The others take over no more than they bear: a few requests in flight each.
const LOST: f64 = 0.5;
/// The same for answers that were much later than usual: whoever is shunned for one is as dear as it was late.
const LOST_TO_LATENESS: f64 = 0.3;
/// The slowdown is a mean that fades with this many seconds: pressure lasts, and a few late answers do not.
const SMOOTH: f64 = 0.2;
/// One look at it says no more than this, however long ago the one before was.
const MOST_NEWS: f64 = 0.25;
/// So many endpoints are looked at.
pub(crate) const SAMPLE: usize = 31;

/// The medians that were last seen.
#[derive(Debug)]
pub(crate) struct Peers {
    latency: Figure,
    failing: Figure,
    failing_now: Figure,
    /// So many failures in a row are more than chance.
    chance_run: Figure,
    /// So many answers in a row that were much later than usual are.
    late_run: Figure,
    /// The share of late answers, where somebody asks.
    slow: Figure,
    load: Figure,
    /// How many times as long as at ease answers take.
    slowdown: Figure,
    slowed_at: AtomicU64,
    overrun: Overrun,
    /// No number where fewer than two report one.
    utilization: Figure,
    seen_at: AtomicU64,
    /// Copies of requests look at whoever is shunned.
    looked_at: AtomicBool,
}

/// The medians of one moment. `None` where no endpoint has shown anything.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Medians {
    /// Nanoseconds from the pick to the head of a good answer.
    pub(crate) latency: Option<f64>,
    /// How many times as long as at ease answers take, at an endpoint in the middle.
    pub(crate) slowdown: Option<f64>,
    /// The share of the last few requests that were waited for in vain, of those who are in.
    pub(crate) in_vain: f64,
    /// Somebody is out, slow or fails most of what it is asked.
    pub(crate) is_ill: bool,
    /// The share of failures, of 0 to 1, as it fades.
    pub(crate) failing: f64,
    /// The share of failures among each one's last few outcomes.
    pub(crate) failing_now: f64,
    /// So many failures in a row are more than chance.
    pub(crate) chance_run: f64,
    /// So many answers in a row that were much later than usual are.
    pub(crate) late_run: f64,
    /// The share of answers that were late beside what an endpoint in the middle takes.
    pub(crate) slow: f64,
    /// Requests in flight at an endpoint. A mean: what is in flight at one is not at another. Of several levels that where a
    /// request goes, by their shares.
    pub(crate) load: f64,
    /// What they report of their utilisation, if two do or more.
    pub(crate) utilization: Option<f64>,
}

/// What one endpoint shows, each with how far it is to be believed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shows {
    pub(crate) latency: (f64, f64),
    /// How many times as long as at ease its answers take of late.
    pub(crate) slowdown: (f64, f64),
    /// The share of the last few requests that were waited for in vain; of who is in alone.
    pub(crate) in_vain: (f64, f64),
    /// It is out by a rule, or fails most of what it is asked.
    pub(crate) is_ill: bool,
    pub(crate) failing: (f64, f64),
    pub(crate) failing_now: (f64, f64),
    pub(crate) late: (f64, f64),
    /// The same of answers that were late beside what an endpoint in the middle takes; of none where no rule asks.
    pub(crate) slow: (f64, f64),
    pub(crate) load: f64,
    /// What it reports itself, if it does.
    pub(crate) utilization: Option<f64>,
}

impl Peers {
    pub(crate) fn new() -> Self {
        Self {
            latency: Figure::new(DEFAULT_LATENCY.as_secs_f64() * 1e9),
            failing: Figure::new(0.0),
            failing_now: Figure::new(0.0),
            chance_run: Figure::new(FEWEST),
            late_run: Figure::new(FEWEST),
            slow: Figure::new(0.0),
            load: Figure::new(0.0),
            slowdown: Figure::new(1.0),
            slowed_at: AtomicU64::new(0),
            overrun: Overrun::new(),
            utilization: Figure::new(f64::NAN),
            seen_at: AtomicU64::new(0),
            looked_at: AtomicBool::new(false),
        }
    }

    /// Whether it is the caller's turn to [`Peers::see`].
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let (order, now) = (Ordering::Relaxed, now.as_nanos());
        let seen_at = self.seen_at.load(order);
        if now.saturating_sub(seen_at) < REFRESH {
            return false;
        }
        (self.seen_at.compare_exchange(seen_at, now, order, order)).is_ok()
    }

    pub(crate) fn see(&self, medians: Medians, now: Instant) {
        if let Some(latency) = medians.latency {
            self.latency.set(latency);
        }
        self.see_slowdown(&medians, now);
        self.failing.set(medians.failing);
        self.failing_now.set(medians.failing_now);
        self.chance_run.set(medians.chance_run);
        self.late_run.set(medians.late_run);
        self.slow.set(medians.slow);
        self.load.set(medians.load);
        self.utilization
            .set(medians.utilization.unwrap_or(f64::NAN));
    }

    fn see_slowdown(&self, medians: &Medians, now: Instant) {
        let before = self.slowed_at.swap(now.as_nanos(), Ordering::Relaxed);
        let passed = Duration::from_nanos(now.as_nanos().saturating_sub(before));
        let news = (1.0 - left_after(passed, SMOOTH)).min(MOST_NEWS);
        let slowdown = self.slowdown();
        let seen = medians.slowdown.unwrap_or(1.0);
        self.slowdown.set(slowdown + news * (seen - slowdown));
        self.overrun.see(medians, self.slowdown(), passed);
    }

    /// The median latency in nanoseconds.
    #[inline]
    pub(crate) fn latency(&self) -> f64 {
        self.latency.get()
    }

    /// What a request costs, in nanoseconds, at an endpoint in the middle that has nothing else to do.
    #[inline]
    pub(crate) fn usual(&self) -> f64 {
        self.latency() + INDISTINCT
    }

    /// The median share of failures.
    pub(crate) fn failing(&self) -> f64 {
        self.failing.get()
    }

    /// The median share of failures of late.
    pub(crate) fn failing_now(&self) -> f64 {
        self.failing_now.get()
    }

    /// The median share of late answers.
    pub(crate) fn slow(&self) -> f64 {
        self.slow.get()
    }

    /// Whether all have been looked at since.
    pub(crate) fn have_been_seen_since(&self, moment: Instant) -> bool {
        self.seen_at.load(Ordering::Relaxed) >= moment.as_nanos()
    }

    /// So many failures in a row as an endpoint that is no worse than its peers has once in a million
    /// calls.
    pub(crate) fn unlikely_run(&self) -> f64 {
        unlikely_run(self.failing_now())
    }

    /// Copies of requests look at whoever is shunned from now on, or do not.
    pub(crate) fn set_looked_at(&self, looked_at: bool) {
        // It is read for each answer, and seldom another.
        if self.looked_at.load(Ordering::Relaxed) != looked_at {
            self.looked_at.store(looked_at, Ordering::Relaxed);
        }
    }

    /// Whether copies of requests look at whoever is shunned.
    pub(crate) fn are_looked_at(&self) -> bool {
        self.looked_at.load(Ordering::Relaxed)
    }

    /// After how many in a row that are more than `chance` an endpoint is shunned. Where no copy looks at it, it would show
    /// nobody whether that is over, nor the rules another failure.
    fn shunned_after(&self, chance: &Figure) -> f64 {
        if self.are_looked_at() {
            chance.get()
        } else {
            FEWEST
        }
    }

    /// What an endpoint's evidence is held against.
    pub(crate) fn pool(&self) -> Pool {
        Pool {
            latency: self.latency(),
            failing: self.failing(),
            unlikely_run: (self.unlikely_run()).max(self.shunned_after(&self.chance_run)),
            late_run: self.shunned_after(&self.late_run),
            load: self.load(),
            eased: (BUSY / self.slowdown()).min(1.0),
            looked_at: self.are_looked_at(),
        }
    }

    /// The share of failures in the middle of the pool, of late or for longer.
    pub(crate) fn trouble(&self) -> f64 {
        self.failing().max(self.failing_now())
    }

    /// How many times as long as at ease answers take of late.
    pub(crate) fn slowdown(&self) -> f64 {
        self.slowdown.get()
    }

    /// Whether what is sent again would go to those who have too much to do already.
    pub(crate) fn are_overrun(&self) -> bool {
        self.overrun.share() > 0.0 && self.slowdown() > PRESSED
    }

    /// The share of requests that all take in turn, as long as somebody asks.
    pub(crate) fn in_turn_at(&self, now: Instant) -> f64 {
        let seen_at = Instant::from_nanos(self.seen_at.load(Ordering::Relaxed));
        if now.saturating_since(seen_at).as_secs_f64() < LONG_AGO {
            self.in_turn()
        } else {
            0.0
        }
    }

    /// The share of requests that all take in turn.
    #[inline]
    pub(crate) fn in_turn(&self) -> f64 {
        self.overrun.share()
    }

    /// What endpoints report of their utilisation, in the middle, if two do or more.
    pub(crate) fn utilization(&self) -> Option<f64> {
        Some(self.utilization.get()).filter(|it| !it.is_nan())
    }

    /// The mean number of requests in flight at an endpoint where a request goes.
    #[inline]
    pub(crate) fn load(&self) -> f64 {
        self.load.get()
    }
}

impl Medians {
    /// The medians over `all`, of which there are [`SAMPLE`] at most.
    pub(crate) fn of(all: &[Shows]) -> Self {
        let load: f64 = all.iter().map(|it| it.load).sum();
        let mut room = [(0.0, 0.0); SAMPLE];
        let latency = weighted_median(sorted(&mut room, all, |it| it.latency));
        Self {
            latency,
            in_vain: weighted_median(sorted(&mut room, all, |it| it.in_vain)).unwrap_or_default(),
            is_ill: all.iter().any(|it| it.is_ill),
            slowdown: weighted_median(sorted(&mut room, all, |it| it.slowdown)),
            failing: median_of_peers(sorted(&mut room, all, |it| it.failing)),
            failing_now: median_of_peers(sorted(&mut room, all, |it| it.failing_now)),
            chance_run: chance_run(all, LOST, |it| it.failing),
            late_run: chance_run(all, LOST_TO_LATENESS, |it| it.late),
            slow: slow(&mut room, all),
            load: load / all.len().max(1) as f64,
            utilization: middle_utilization(all),
        }
    }
}

/// Mostly no rule asks.
fn slow(room: &mut [(f64, f64); SAMPLE], all: &[Shows]) -> f64 {
    if all.iter().any(|it| it.slow.1 > 0.0) {
        median_of_peers(sorted(room, all, |it| it.slow))
    } else {
        0.0
    }
}

/// Of an even number the mean of the two in the middle: of two, neither has its way.
fn middle_utilization(all: &[Shows]) -> Option<f64> {
    let mut room = [0.0; SAMPLE];
    let reported = all.iter().filter_map(|it| it.utilization);
    let count = room.iter_mut().zip(reported).map(|(place, it)| *place = it);
    let count = count.count();
    if count < 2 {
        return None;
    }
    let values = room.get_mut(..count)?;
    values.sort_unstable_by(f64::total_cmp);
    let (lower, upper) = (values.get((count - 1) / 2)?, values.get(count / 2)?);
    Some(f64::midpoint(*lower, *upper))
}

/// Values with weights, of which those without weight say nothing.
type Weighted = [(f64, f64)];

fn sorted<'a>(
    room: &'a mut [(f64, f64); SAMPLE],
    all: &[Shows],
    of: impl Fn(&Shows) -> (f64, f64),
) -> &'a mut Weighted {
    for (place, shows) in room.iter_mut().zip(all) {
        *place = of(shows);
    }
    // Most pools are small.
    let values = room.get_mut(..all.len()).unwrap_or_default();
    values.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    values
}

/// The median without the highest: the worst of a pool is not its own peer. In a pool of two, or in
/// one whose others have shown nothing yet, it would be held against itself.
fn median_of_peers(values: &mut Weighted) -> f64 {
    if let Some(worst) = values.iter_mut().rev().find(|it| it.1 > 0.0) {
        worst.1 = 0.0;
    }
    weighted_median(values).unwrap_or_default()
}

/// The lower of two in the middle; `None` if all together weigh next to nothing.
fn weighted_median(values: &Weighted) -> Option<f64> {
    const NOTHING: f64 = 1e-3;
    let total: f64 = values.iter().map(|it| it.1).sum();
    let mut below = 0.0;
    let median = values.iter().find(|(_, weight)| {
        below += weight;
        below * 2.0 >= total
    });
    median.filter(|_| total > NOTHING).map(|it| it.0)
}

/// A number that one thread writes now and then and many read.
#[derive(Debug)]
struct Figure(AtomicU64);

impl Figure {
    fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    #[inline]
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median(latencies: &[(f64, f64)]) -> Option<f64> {
        let shows = |&latency| Shows {
            latency,
            ..Shows::default()
        };
        let all: Vec<Shows> = latencies.iter().map(shows).collect();
        Medians::of(&all).latency
    }

    #[test]
    fn a_median_heeds_weights_and_nothing_weighs_nothing() {
        assert_eq!(
            median(&[(9.0, 1.0), (1.0, 1.0), (2.0, 5.0), (0.0, 0.0)]),
            Some(2.0)
        );
        assert_eq!(median(&[(5.0, 0.0)]), None);
        assert_eq!(median(&[]), None);
    }

    /// The share that peers fail, of endpoints that fail so much in so many calls.
    fn failing(pool: &[(f64, f64)]) -> f64 {
        let shows = |&failing_now: &(f64, f64)| Shows {
            failing_now,
            ..Shows::default()
        };
        let all: Vec<Shows> = pool.iter().map(shows).collect();
        Medians::of(&all).failing_now
    }

    #[test]
    fn the_worst_of_two_is_held_against_the_other() {
        assert!(failing(&[(1.0, 16.0), (0.0, 1.0)]) < f64::EPSILON);
        assert!(
            failing(&[(1.0, 16.0), (0.0, 0.0)]) < f64::EPSILON,
            "nobody else has shown a thing"
        );
    }

    #[test]
    fn where_all_fail_so_do_the_peers() {
        assert!((failing(&[(1.0, 16.0); 3]) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn two_bad_endpoints_in_five_do_not_move_the_median() {
        let pool = [(1.0, 4.0), (0.0, 4.0), (1.0, 4.0), (0.0, 4.0), (0.0, 4.0)];
        assert!(failing(&pool) < f64::EPSILON);
    }
}
