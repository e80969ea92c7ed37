//! What scenarios are told with.

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_breaker::{Backoff, Breaker, Config, Event, Permit, Rule, Settings, State, Window};
use buttress_core::clock::ManualClock;
use buttress_core::events::{Received, Subscription};
use buttress_core::outcome::Outcome;

use crate::support::{OPEN_FOR, PROBE_DEADLINE, config, trip};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NANO: Duration = Duration::from_nanos(1);

pub(crate) fn of(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// Open for exactly [`OPEN_FOR`], no ramp, so many probes at once.
pub(crate) fn settings(max_probes: u32) -> Settings {
    Settings::default()
        .open_for(Backoff::constant(OPEN_FOR))
        .ramp(None)
        .probe_deadline(PROBE_DEADLINE)
        .max_probes(of(max_probes))
}

/// Half of at least `min_calls` in the window failed.
pub(crate) fn half_failed(min_calls: u32, window: Window) -> Rule {
    Rule::FailureRate {
        ratio: 0.5,
        min_calls,
        window,
    }
}

/// Opens after two failures in a row.
pub(crate) fn with(time: &ManualClock, settings: Settings) -> Breaker {
    Breaker::new("test", config(time).circuit(settings)).unwrap()
}

pub(crate) fn ruled(time: &ManualClock, rule: Rule) -> Breaker {
    made(config(time).rules([rule]))
}

pub(crate) fn made(config: Config) -> Breaker {
    Breaker::new("test", config).unwrap()
}

/// The next call makes it half-open.
pub(crate) fn to_probe(time: &ManualClock, settings: Settings) -> Breaker {
    let breaker = with(time, settings);
    trip(&breaker);
    time.advance(OPEN_FOR);
    breaker
}

/// One call that ends in `outcome`.
pub(crate) fn end(breaker: &Breaker, outcome: Outcome) {
    breaker.try_acquire().unwrap().record(outcome);
}

/// All that are admitted now.
pub(crate) fn take_all(breaker: &Breaker) -> Vec<Permit> {
    std::iter::from_fn(|| breaker.try_acquire().ok())
        .take(100)
        .collect()
}

/// What has been told since the last time.
pub(crate) fn told(events: &mut Subscription<Event>) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv())
        .map(|received| match received {
            Received::Event(event) => event,
            Received::Lagged(lost) => panic!("lost {lost}"),
        })
        .collect()
}

/// The changes among what was told, as pairs of states.
pub(crate) fn changes(events: &mut Subscription<Event>) -> Vec<(State, State)> {
    told(events)
        .into_iter()
        .filter_map(|event| event.transition)
        .map(|transition| (transition.from, transition.to))
        .collect()
}

pub(crate) fn generation(breaker: &Breaker) -> u64 {
    breaker.handle().snapshot().generation
}

pub(crate) fn rejected(breaker: &Breaker) -> u64 {
    breaker.handle().snapshot().rejected
}

/// How many calls the first window holds, and how many of them are bad.
pub(crate) fn counts(breaker: &Breaker) -> (u64, u64) {
    let counts = breaker.handle().snapshot().windows[0].counts;
    (counts.total, counts.bad)
}
