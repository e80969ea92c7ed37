//! Counting what keeps a goal and what misses it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use buttress_core::clock::Instant;

use super::ring::{Ring, SLICES, Tally};
use super::view::{Burn, BurnWindow, Goal, ObjectiveSnapshot};
use super::{DAY, Objective};
use crate::recorder::{Mine, Striped};
use crate::series::{Class, Ending};

const HOUR: Duration = Duration::from_secs(3600);
/// The long windows, and the share of the budget of 30 days that is gone when one of them has burnt at
/// its factor. Each short window is a twelfth. After chapter 5 of Google's SRE workbook.
const PAIRS: [(Duration, f64); 4] = [
    (HOUR, 0.02),
    (HOUR.saturating_mul(6), 0.05),
    (DAY, 0.1),
    (DAY.saturating_mul(3), 0.1),
];
const SHORT_SLICES: u64 = SLICES / 12;

/// The goals of each route that has an objective.
pub(crate) type Tracked = BTreeMap<Box<str>, Arc<Goals>>;

/// Those of one route.
pub(crate) type Goals = Vec<Arc<Tracker>>;

/// Begins to count for `objectives` at `now`, and goes on for those that were `counted` before.
pub(crate) fn track(
    objectives: &BTreeMap<Box<str>, Objective>,
    counted: &Tracked,
    now: Instant,
) -> Tracked {
    let each = objectives.iter().map(|(route, objective)| {
        let counted = counted.get(route).map_or(&[][..], |goals| goals);
        let goals = objective.goals().map(|(goal, target)| {
            let same = |one: &&Arc<Tracker>| one.is_for(goal, target, objective.period);
            let begin = || Arc::new(Tracker::new(goal, target, objective.period, now));
            counted.iter().find(same).cloned().unwrap_or_else(begin)
        });
        (route.clone(), Arc::new(goals.collect()))
    });
    each.collect()
}

/// One goal of one route.
pub(crate) struct Tracker {
    goal: Goal,
    target: f64,
    period: Duration,
    counters: Striped<Counters>,
    /// When the shortest slice ends, in nanoseconds.
    next_end: AtomicU64,
    /// Of the pairs of windows, and of the period.
    rings: Mutex<[Ring; PAIRS.len() + 1]>,
}

/// Of one stripe, alone on its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Counters {
    good: AtomicU64,
    bad: AtomicU64,
}

impl Tracker {
    fn new(goal: Goal, target: f64, period: Duration, now: Instant) -> Self {
        let [a, b, c, d] = PAIRS.map(|(long, _)| Ring::new(long, now));
        let rings = [a, b, c, d, Ring::new(period, now)];
        Self {
            goal,
            target,
            period,
            counters: Striped::new(),
            next_end: AtomicU64::new(next_end(&rings)),
            rings: Mutex::new(rings),
        }
    }

    fn is_for(&self, goal: Goal, target: f64, period: Duration) -> bool {
        (self.goal, self.target, self.period) == (goal, target, period)
    }

    /// Counts an exchange that ended `now` in `ending` after `duration`, if the goal is about it.
    pub(crate) fn count(&self, ending: &Ending, now: Instant, duration: Duration) {
        let Some(good) = judge(self.goal, ending, duration) else {
            return;
        };
        if now.as_nanos() >= self.next_end.load(Ordering::Relaxed) {
            self.advance(now);
        }
        match self.counters.mine() {
            Mine::Own(counters) => {
                let counter = counters.of(good);
                let more = counter.load(Ordering::Relaxed).wrapping_add(1);
                counter.store(more, Ordering::Relaxed);
            }
            Mine::Shared(counters) => {
                counters.of(good).fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// As of `now`, for `route`.
    pub(crate) fn read(&self, route: &str, now: Instant) -> ObjectiveSnapshot {
        let mut rings = self.rings();
        let total = self.total();
        self.advance_all(&mut *rings, total, now);
        let budget = 1.0 - self.target;
        let window = |ring: &Ring, slices, length| {
            let (tally, covered) = ring.last(slices, total, now);
            BurnWindow::new(length, covered, tally, budget)
        };
        let burn = |ring: &Ring, (long, share): (Duration, f64)| Burn {
            short: window(ring, SHORT_SLICES, long / 12),
            long: window(ring, SLICES, long),
            factor: share * self.period.as_secs_f64() / long.as_secs_f64(),
        };
        let ([a, b, c, d, period], [hour, quarter, day, days]) = (&*rings, PAIRS);
        ObjectiveSnapshot {
            route: route.into(),
            goal: self.goal,
            target: self.target,
            budget: window(period, SLICES, self.period),
            burns: [burn(a, hour), burn(b, quarter), burn(c, day), burn(d, days)],
            good: total.good,
            bad: total.bad,
            trend: None,
            passing: None,
        }
    }

    #[cold]
    fn advance(&self, now: Instant) {
        // Taken: somebody else advances or reads, and what is counted meanwhile falls on either side.
        if let Ok(mut rings) = self.rings.try_lock() {
            self.advance_all(&mut *rings, self.total(), now);
        }
    }

    fn advance_all(&self, rings: &mut [Ring], total: Tally, now: Instant) {
        for ring in &mut *rings {
            ring.advance(total, now);
        }
        self.next_end.store(next_end(rings), Ordering::Relaxed);
    }

    fn total(&self) -> Tally {
        let each = self.counters.all().map(|counters| Tally {
            good: counters.good.load(Ordering::Relaxed),
            bad: counters.bad.load(Ordering::Relaxed),
        });
        each.fold(Tally::default(), Tally::plus)
    }

    fn rings(&self) -> MutexGuard<'_, [Ring; PAIRS.len() + 1]> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    const fn of(&self, good: bool) -> &AtomicU64 {
        if good { &self.good } else { &self.bad }
    }
}

fn next_end(rings: &[Ring]) -> u64 {
    rings.iter().map(Ring::slice_end).min().unwrap_or(u64::MAX)
}

/// Whether an exchange keeps the goal; none if the goal is not about it.
fn judge(goal: Goal, ending: &Ending, duration: Duration) -> Option<bool> {
    let refused = ending.class == Class::Ignored && ending.is_named();
    match goal {
        Goal::Latency(within) => match ending.class {
            Class::Success => Some(duration <= within),
            Class::Failure | Class::Abandoned => (duration > within).then_some(false),
            _ => None,
        },
        Goal::Availability => match ending.class {
            Class::Success => Some(true),
            Class::Failure => Some(false),
            _ => refused.then_some(false),
        },
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker")
            .field("goal", &self.goal)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
