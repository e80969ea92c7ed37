//! What a rule counts, and over which window.

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::window::{CallWindow, Counts, TimeWindow};

use super::rule::Window;

/// One call as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) outcome: Outcome,
    /// How long it took; nothing where nobody asks.
    pub(crate) age: Duration,
    /// The thresholds that it passed while in flight, and has been counted for: a bit for each.
    pub(crate) overdue: u8,
    /// For how long the upstream asks to be left alone.
    pub(crate) asked: Duration,
}

/// What is bad about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    Failures,
    Timeouts,
    Slow(Threshold),
    FailuresOrSlow(Threshold),
}

/// A slow threshold and its place among those of all rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Threshold {
    pub(super) after: Duration,
    pub(super) place: u8,
}

/// Counts of one kind over one window.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    counting: Counting,
    held: Held,
    /// It was taken over from a rule with another threshold.
    moves: bool,
}

#[derive(Clone, Debug)]
enum Held {
    Calls(CallWindow),
    Time(Box<TimeWindow>),
}

impl Sample {
    fn is_slow(&self, threshold: Threshold) -> bool {
        self.outcome == Outcome::Slow || self.age > threshold.after
    }

    /// Whether it counted when the threshold passed, so that its end does not count again.
    const fn is_overdue(&self, threshold: Threshold) -> bool {
        self.overdue & 1_u8.wrapping_shl(threshold.place as u32) != 0
    }
}

impl Threshold {
    /// The threshold `after` among the `places` of all.
    pub(super) fn among(places: &[Duration], after: Duration) -> Self {
        let place = places.iter().position(|place| *place == after);
        let place = place.and_then(|place| u8::try_from(place).ok());
        Self {
            after,
            place: place.unwrap_or(u8::MAX),
        }
    }
}

impl Counting {
    /// Whether `sample` is bad; `None` if it does not count.
    fn weigh(self, sample: &Sample) -> Option<bool> {
        match (self, sample.outcome) {
            (Self::Slow(threshold) | Self::FailuresOrSlow(threshold), _)
                if sample.is_overdue(threshold) =>
            {
                None
            }
            (Self::Slow(threshold) | Self::FailuresOrSlow(threshold), Outcome::Abandoned) => {
                sample.is_slow(threshold).then_some(true)
            }
            (_, Outcome::Ignored | Outcome::Abandoned) => None,
            (Self::Failures, outcome) => Some(outcome.is_failure()),
            (Self::Timeouts, outcome) => Some(outcome == Outcome::Failure(FailureKind::Deadline)),
            (Self::Slow(threshold), _) => Some(sample.is_slow(threshold)),
            (Self::FailuresOrSlow(threshold), outcome) => {
                Some(outcome.is_failure() || sample.is_slow(threshold))
            }
        }
    }

    /// The threshold whose passing is counted, if any.
    const fn threshold(self) -> Option<Threshold> {
        match self {
            Self::Slow(threshold) | Self::FailuresOrSlow(threshold) => Some(threshold),
            Self::Failures | Self::Timeouts => None,
        }
    }

    /// Whether what one has counted means the same to the other.
    const fn is_like(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Failures, Self::Failures)
                | (Self::Timeouts, Self::Timeouts)
                | (Self::Slow(_), Self::Slow(_))
                | (Self::FailuresOrSlow(_), Self::FailuresOrSlow(_))
        )
    }
}

impl Tally {
    pub(super) fn new(counting: Counting, window: Window) -> Self {
        let held = match window {
            Window::Calls(n) => Held::Calls(CallWindow::new(at_least_one(n))),
            Window::Time(span) => Held::Time(Box::new(TimeWindow::new(span))),
        };
        Self {
            counting,
            held,
            moves: false,
        }
    }

    /// The tally with what the first of `old` of the same kind holds at `now`, if there is one.
    pub(super) fn taking(
        counting: Counting,
        window: Window,
        old: &mut Vec<Self>,
        now: Instant,
    ) -> Option<Self> {
        let alike = old
            .iter()
            .position(|old| old.counting.is_like(counting) && old.is_over(window));
        let taken = old.remove(alike?);
        let held = match (taken.held, window) {
            (Held::Calls(calls), Window::Calls(n)) => Held::Calls(calls.resized(at_least_one(n))),
            (Held::Time(mut time), Window::Time(span)) => {
                // What has left it does not come back in a longer one.
                drop(time.take_left(now));
                Held::Time(Box::new(time.resized(span)))
            }
            (held, _) => held,
        };
        let moves = taken.counting.threshold().map(|at| at.after)
            != counting.threshold().map(|at| at.after);
        Some(Self {
            counting,
            held,
            moves,
        })
    }

    /// Whether what it counts as slow is no longer what it was when it was taken over.
    pub(super) const fn moves(&self) -> bool {
        self.moves
    }

    const fn is_over(&self, window: Window) -> bool {
        matches!(
            (&self.held, window),
            (Held::Calls(_), Window::Calls(_)) | (Held::Time(_), Window::Time(_))
        )
    }

    /// Counts a call that ended at `now`; `false` if it does not count here.
    pub(super) fn record(&mut self, sample: &Sample, now: Instant) -> bool {
        let weight = self.counting.weigh(sample);
        if let Some(bad) = weight {
            self.add(now, bad);
        }
        weight.is_some()
    }

    /// Counts `n` calls that passed the threshold at `place` at `due`, still in flight.
    pub(super) fn overdue(&mut self, place: u8, n: u64, due: Instant) {
        let asks = self
            .counting
            .threshold()
            .is_some_and(|at| at.place == place);
        match &mut self.held {
            _ if !asks => {}
            Held::Calls(calls) => calls.record_many(true, n),
            Held::Time(time) => time.add(due, Counts { total: n, bad: n }),
        }
    }

    /// Counts `n` good calls that ended in the bucket of `at`.
    pub(super) fn succeeded(&mut self, n: u64, at: Instant) {
        match &mut self.held {
            Held::Calls(calls) => calls.record_many(false, n),
            Held::Time(time) => time.add(at, Counts { total: n, bad: 0 }),
        }
    }

    fn add(&mut self, now: Instant, bad: bool) {
        match &mut self.held {
            Held::Calls(calls) => calls.record(bad),
            Held::Time(time) => time.record(now, bad),
        }
    }

    pub(super) fn counts(&self, now: Instant) -> Counts {
        match &self.held {
            Held::Calls(calls) => calls.counts(),
            Held::Time(time) => time.counts(now),
        }
    }

    /// All that is held, what has left the window by now as well.
    pub(super) fn held(&self) -> Counts {
        match &self.held {
            Held::Calls(calls) => calls.counts(),
            Held::Time(time) => time.held(),
        }
    }

    /// Until when nothing leaves the window by the passing of time.
    pub(super) fn settled_until(&self, now: Instant) -> Instant {
        match &self.held {
            Held::Calls(_) => Instant::NEVER,
            Held::Time(time) => time.bucket_end(now),
        }
    }

    /// Takes out what has left the window by `now`, oldest first, where it is one of time.
    pub(super) fn take_left(&mut self, now: Instant) -> impl Iterator<Item = (Instant, Counts)> {
        let left = match &mut self.held {
            Held::Calls(_) => None,
            Held::Time(time) => Some(time.take_left(now)),
        };
        left.into_iter().flatten()
    }

    pub(super) fn clear(&mut self) {
        match &mut self.held {
            Held::Calls(calls) => calls.clear(),
            Held::Time(time) => time.clear(),
        }
    }
}

/// A validated configuration has no window of 0.
fn at_least_one(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}
