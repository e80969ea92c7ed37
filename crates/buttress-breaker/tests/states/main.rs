//! The states of a breaker: what leads from one to the next, what is set by hand, what is only observed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod by_hand;
mod half_open;
mod hanging;
mod observing;
mod open;
mod ramping;
#[path = "../support/mod.rs"]
mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_breaker::{
    Backoff, Breaker, Config, Event, HalfOpenLimit, HealthyRun, Probing, Ramp, Rule, Settings,
    State, Step, Window,
};
use buttress_core::clock::ManualClock;
use buttress_core::events::{Received, Subscription};
use buttress_core::health::HealthStatus;
use buttress_core::outcome::Outcome;
use support::{BAD, OPEN_FOR, PROBE_DEADLINE, config, trip};

const SECOND: Duration = Duration::from_secs(1);

fn of(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn settings() -> Settings {
    Settings::default()
        .open_for(Backoff::constant(OPEN_FOR))
        .probe_deadline(PROBE_DEADLINE)
        .ramp(None)
}

fn with(time: &ManualClock, settings: Settings) -> Breaker {
    Breaker::new("test", config(time).circuit(settings)).unwrap()
}

/// A breaker whose open time is over.
fn expired(time: &ManualClock, settings: Settings) -> Breaker {
    let breaker = with(time, settings);
    trip(&breaker);
    time.advance(OPEN_FOR);
    breaker
}

fn end(breaker: &Breaker, outcome: Outcome) {
    breaker.try_acquire().unwrap().record(outcome);
}

fn told(events: &mut Subscription<Event>) -> Vec<(Option<State>, String)> {
    std::iter::from_fn(|| events.try_recv())
        .map(|received| match received {
            Received::Event(event) => {
                let to = event.transition.map(|transition| transition.to);
                (to, event.verdict.to_string())
            }
            Received::Lagged(lost) => panic!("lost {lost}"),
        })
        .collect()
}

fn states(events: &mut Subscription<Event>) -> Vec<State> {
    told(events).into_iter().filter_map(|(to, _)| to).collect()
}
