//! Configurations for what is guarded most often, with the reason for each number.
//!
//! They are starting points in public fields: take one, and change what you know better.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::{Backoff, Ramp, Settings};
use buttress_core::config::ConfigError;

use crate::breaker::Breaker;
use crate::config::Config;
use crate::rules::{Rule, Window};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Config {
    /// For a service of one's own behind HTTP or gRPC: many calls, of which each should take well
    /// below a second.
    ///
    /// - Half of at least 20 calls in 10 s failed: a rate, because with many calls some always fail; a
    ///   half, because a pool that loses one of three replicas should still be used.
    /// - 10 calls failed in a row: what is down is seen before 20 calls have come.
    /// - Half of at least 20 calls in 10 s took more than 2 s: a service that hangs holds the caller's
    ///   connections and memory, and is cut off before the first timeout.
    /// - The last 10 calls all took more than 2 s: below about three calls a second the window above never
    ///   holds 20. Ten that hang are enough at any rate.
    /// - Open for 5 s, doubling up to 60 s: about the time a restart takes, and a minute at most until a
    ///   recovery is noticed.
    /// - Two probes, then a ramp of 5, 25 and 50 %: caches and connection pools behind it are cold.
    pub fn for_http_upstream() -> Self {
        let window = Window::Time(seconds(10));
        Self::default().rules([
            rate(0.5, 20, window),
            Rule::ConsecutiveFailures(10),
            slow(seconds(2), 0.5, 20, window),
            slow(seconds(2), 1.0, 10, Window::Calls(10)),
        ])
    }

    /// For a database or a cache: quick calls over a small pool of connections, and a fail-over that is
    /// over in seconds.
    ///
    /// - 5 calls failed in a row: what answers each query in milliseconds and fails five times running
    ///   is down. Errors of the query itself (a constraint, a syntax error) are no failures: classify
    ///   them as `Success`, for the database has answered.
    /// - Half of at least 10 calls in 10 s failed, or took more than 1 s, or the last 5 calls all did: a pool
    ///   of connections is empty after its size in hung calls, so few calls have to be enough.
    /// - Open for 1 s, doubling up to 15 s: a fail-over should not be outlasted by its breaker.
    /// - A probe may take 5 s, and three have to succeed: the first may have met the one replica that
    ///   works. Then a ramp that doubles from 10 %: a thousand callers that reconnect at once are the
    ///   next outage.
    pub fn for_database() -> Self {
        let window = Window::Time(seconds(10));
        let circuit = Settings::default()
            .open_for(Backoff::exponential(seconds(1), seconds(15)))
            .successes_to_close(NonZeroU32::MIN.saturating_add(2))
            .probe_deadline(seconds(5))
            .ramp(Ramp::exponential(0.1, 2.0, seconds(1), 10));
        Self::default()
            .rules([
                Rule::ConsecutiveFailures(5),
                rate(0.5, 10, window),
                slow(seconds(1), 0.5, 10, window),
                slow(seconds(1), 1.0, 5, Window::Calls(5)),
            ])
            .circuit(circuit)
    }

    /// For somebody else's API: few calls, slow ones, limits, and incidents that last.
    ///
    /// - Half of at least 10 calls in a minute failed, or 5 in a row: with a call every few seconds a
    ///   shorter window never holds enough of them.
    /// - Open for 10 s, doubling up to 5 min: an incident of somebody else's lasts, and what does not
    ///   help should not be paid for; their `Retry-After` is honoured up to the same 5 min.
    /// - Two probes that may take 30 s each, and no ramp: at this rate there is no herd to hold back.
    pub fn for_third_party_api() -> Self {
        let window = Window::Time(seconds(60));
        let circuit = Settings::default()
            .open_for(Backoff::exponential(seconds(10), seconds(300)))
            .ramp(None);
        Self::default()
            .rules([rate(0.5, 10, window), Rule::ConsecutiveFailures(5)])
            .circuit(circuit)
    }
}

impl Breaker {
    /// A breaker set to [`Config::for_http_upstream`].
    pub fn for_http_upstream(name: impl Into<Arc<str>>) -> Result<Self, ConfigError> {
        Self::new(name, Config::for_http_upstream())
    }

    /// A breaker set to [`Config::for_database`].
    pub fn for_database(name: impl Into<Arc<str>>) -> Result<Self, ConfigError> {
        Self::new(name, Config::for_database())
    }

    /// A breaker set to [`Config::for_third_party_api`].
    pub fn for_third_party_api(name: impl Into<Arc<str>>) -> Result<Self, ConfigError> {
        Self::new(name, Config::for_third_party_api())
    }
}

const fn rate(ratio: f64, min_calls: u32, window: Window) -> Rule {
    Rule::FailureRate {
        ratio,
        min_calls,
        window,
    }
}

const fn slow(slower_than: Duration, ratio: f64, min_calls: u32, window: Window) -> Rule {
    Rule::SlowRate {
        slower_than,
        ratio,
        min_calls,
        window,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::circuit::State;
    use buttress_core::clock::ManualClock;
    use buttress_core::outcome::{FailureKind, Outcome};

    #[test]
    fn every_preset_is_valid_and_makes_a_breaker() {
        assert!(Breaker::for_http_upstream("a").is_ok());
        assert!(Breaker::for_database("b").is_ok());
        assert!(Breaker::for_third_party_api("c").is_ok());
    }

    #[test]
    fn a_hang_opens_the_presets_for_ones_own_services_at_any_rate_before_a_call_ends() {
        let presets = [
            (Config::for_http_upstream(), 10),
            (Config::for_database(), 5),
        ];
        for (config, calls) in presets {
            let time = ManualClock::new();
            let breaker = Breaker::new("seldom", config.clock(time.clock())).unwrap();
            let mut hung = Vec::new();
            for _ in 0..calls {
                assert_eq!(breaker.state(), State::Closed);
                hung.push(breaker.try_acquire().unwrap());
                time.advance(seconds(3));
            }
            let opened_by = breaker.handle().opened_by().unwrap();
            assert_eq!(opened_by.rule, "slow_rate");
        }
    }

    #[test]
    fn no_preset_opens_for_one_failure_in_a_thousand_calls_however_many_there_are() {
        let presets = [
            Config::default(),
            Config::for_http_upstream(),
            Config::for_database(),
            Config::for_third_party_api(),
        ];
        for config in presets {
            let time = ManualClock::new();
            let breaker = Breaker::new("busy", config.clock(time.clock())).unwrap();
            for call in 1..=100_000_u32 {
                let late = Outcome::Failure(FailureKind::Deadline);
                let outcome = if call % 1_000 == 0 {
                    late
                } else {
                    Outcome::Success
                };
                breaker.try_acquire().unwrap().record(outcome);
                time.advance(Duration::from_millis(1));
            }
            assert_eq!(breaker.handle().snapshot().generation, 0);
        }
    }
}
