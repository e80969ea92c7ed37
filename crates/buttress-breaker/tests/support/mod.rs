//! What the tests of the breaker share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses what it needs"
)]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use buttress_breaker::{Backoff, Breaker, Calls, Config, Jitter, Rule, Settings};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::{FailureKind, Outcome};

pub mod services;

pub const BAD: Outcome = Outcome::Failure(FailureKind::Answer);
pub const OPEN_FOR: Duration = Duration::from_secs(5);
pub const PROBE_DEADLINE: Duration = Duration::from_secs(30);

/// Opens after two failures in a row, for exactly [`OPEN_FOR`], and closes without a ramp.
pub fn config(time: &ManualClock) -> Config {
    let open_for = Backoff::constant(OPEN_FOR).jitter(Jitter::None);
    Config::new()
        .rules([Rule::ConsecutiveFailures(2)])
        .circuit(
            Settings::default()
                .open_for(open_for)
                .ramp(None)
                .probe_deadline(PROBE_DEADLINE),
        )
        .clock(time.clock())
}

pub fn breaker(time: &ManualClock) -> Breaker {
    Breaker::new("test", config(time)).unwrap()
}

pub fn trip(breaker: &Breaker) {
    for _ in 0..2 {
        breaker.try_acquire().unwrap().record(BAD);
    }
    assert!(breaker.try_acquire().is_err());
}

pub fn calls(breaker: &Breaker) -> Calls {
    breaker.handle().snapshot().calls
}

pub fn ended(calls: &Calls) -> u64 {
    calls.success + calls.failure + calls.slow + calls.ignored + calls.abandoned
}
