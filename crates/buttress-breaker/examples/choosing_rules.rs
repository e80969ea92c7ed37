//! What each rule does under given conditions: how soon it opens the circuit when something is wrong,
//! and how often when nothing is.
//!
//! ```sh
//! cargo run --release -p buttress-breaker --example choosing_rules            # all rules
//! cargo run --release -p buttress-breaker --example choosing_rules Adaptive   # those so named
//! ```
//!
//! Simulated on a manual clock with a fixed seed: the figures are the same on every machine. Calls come
//! at an even rate whatever becomes of earlier ones.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::collections::VecDeque;
use std::time::Duration;

use buttress_breaker::{Breaker, Config, Permit, Rule, State, Window};
use buttress_core::clock::{Instant, ManualClock};
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;

type Anything = Box<dyn std::error::Error>;

/// How the dependency behaves.
#[derive(Clone, Copy)]
struct Conditions {
    /// Time between two calls.
    every: Duration,
    /// The share of calls that fail.
    failing: f64,
    /// How long a call takes.
    takes: Duration,
}

const QUICK: Duration = Duration::from_millis(50);
/// After so long a caller of something that hangs gives up, and that is a failure by deadline.
const DEADLINE: Duration = Duration::from_secs(30);
const HEALTHY_CALLS: u32 = 1_000_000;

fn main() -> Result<(), Anything> {
    println!(
        "| rule | down, 100/s | 60 % fail, 100/s | 60 % fail, 1/s | down, 1 in 10 s | hangs, 100/s \
         | 3 s slow, 100/s | trips, 1 % fail | trips, 10 % fail | trips, 30 % fail |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for (name, rule) in rules()
        .into_iter()
        .filter(|(name, _)| name.contains(&wanted))
    {
        let each = |every, failing, takes| {
            until_trip(
                &rule,
                Conditions {
                    every,
                    failing,
                    takes,
                },
            )
        };
        let (busy, second) = (Duration::from_millis(10), Duration::from_secs(1));
        let sick = [
            each(busy, 1.0, QUICK)?,
            each(busy, 0.6, QUICK)?,
            each(second, 0.6, QUICK)?,
            each(second * 10, 1.0, QUICK)?,
            each(busy, 1.0, DEADLINE)?,
            each(busy, 0.0, second * 3)?,
        ];
        let well = [
            false_trips(&rule, 0.01)?,
            false_trips(&rule, 0.1)?,
            false_trips(&rule, 0.3)?,
        ];
        println!("| {name} | {} | {} |", sick.join(" | "), well.join(" | "));
    }
    Ok(())
}

fn rules() -> Vec<(&'static str, Rule)> {
    let (ten, minute) = (Duration::from_secs(10), Duration::from_secs(60));
    let rate = |min_calls, window| Rule::FailureRate {
        ratio: 0.5,
        min_calls,
        window,
    };
    let slower_than = Duration::from_secs(2);
    let adaptive = |floor| Rule::Adaptive {
        factor: 3.0,
        floor,
        ceiling: 0.5,
        min_calls: 20,
        window: ten,
        baseline: minute * 10,
    };
    let window = Window::Time(ten);
    vec![
        ("`ConsecutiveFailures(5)`", Rule::ConsecutiveFailures(5)),
        ("`ConsecutiveFailures(10)`", Rule::ConsecutiveFailures(10)),
        ("`FailureRate` 50 % of ≥ 20 in 10 s", rate(20, window)),
        (
            "`FailureRate` 50 % of ≥ 10 in 60 s",
            rate(10, Window::Time(minute)),
        ),
        (
            "`FailureRate` 50 % of the last 100, ≥ 20",
            rate(20, Window::Calls(100)),
        ),
        (
            "`SlowRate` 2 s, 50 % of ≥ 20 in 10 s",
            Rule::SlowRate {
                slower_than,
                ratio: 0.5,
                min_calls: 20,
                window,
            },
        ),
        (
            "`FailureOrSlowRate` 2 s, 50 % of ≥ 20 in 10 s",
            Rule::FailureOrSlowRate {
                slower_than,
                ratio: 0.5,
                min_calls: 20,
                window,
            },
        ),
        (
            "`Timeouts` 5 in 60 s",
            Rule::Timeouts {
                n: 5,
                window: Window::Time(minute),
            },
        ),
        (
            "`Adaptive` 3 ×, from 5 to 50 %, ≥ 20 in 10 s",
            adaptive(0.05),
        ),
        (
            "`Adaptive` 3 ×, from 20 to 50 %, ≥ 20 in 10 s",
            adaptive(0.2),
        ),
    ]
}

/// A breaker with one rule on a manual clock, and the calls in flight behind it.
struct Simulated {
    time: ManualClock,
    breaker: Breaker,
    chance: Rng,
    /// By when they end; all take the same time, so the first to begin is the first to end.
    in_flight: VecDeque<(Instant, Permit, Outcome)>,
}

impl Simulated {
    fn new(rule: &Rule) -> Result<Self, Anything> {
        let time = ManualClock::new();
        let config = Config::default()
            .rules([rule.clone()])
            .clock(time.clock())
            .rng(Rng::seeded(1));
        Ok(Self {
            time,
            breaker: Breaker::new("simulated", config)?,
            chance: Rng::seeded(2),
            in_flight: VecDeque::new(),
        })
    }

    /// Makes the next call, and lets all end that are due by then. `false` if it was rejected.
    fn call(&mut self, conditions: Conditions) -> bool {
        self.time.advance(conditions.every);
        let now = self.time.now();
        while self.in_flight.front().is_some_and(|(end, ..)| *end <= now) {
            if let Some((_, permit, outcome)) = self.in_flight.pop_front() {
                permit.record(outcome);
            }
        }
        let Ok(permit) = self.breaker.try_acquire() else {
            return false;
        };
        let outcome = if self.chance.unit() >= conditions.failing {
            Outcome::Success
        } else if conditions.takes >= DEADLINE {
            Outcome::Failure(FailureKind::Deadline)
        } else {
            Outcome::Failure(FailureKind::Answer)
        };
        let end = now.saturating_add(conditions.takes);
        self.in_flight.push_back((end, permit, outcome));
        true
    }
}

/// How long, and how many calls, it takes from the first bad moment of what has been healthy for five
/// minutes until the circuit opens; the mean of a hundred times, or never within ten minutes.
fn until_trip(rule: &Rule, bad: Conditions) -> Result<String, Anything> {
    let healthy = Conditions {
        failing: 0.001,
        takes: QUICK,
        ..bad
    };
    let times = 20;
    let (mut seconds, mut calls) = (0.0, 0_u32);
    for round in 0..times {
        let mut simulated = Simulated::new(rule)?;
        simulated.chance = Rng::seeded(round);
        let minutes = Duration::from_secs(300).as_nanos() / bad.every.as_nanos();
        for _ in 0..minutes {
            simulated.call(healthy);
            simulated.breaker.handle().release();
        }
        // What is in flight may end in its own time.
        let start = simulated.time.now();
        loop {
            let passed = simulated.time.now().saturating_since(start);
            if passed > Duration::from_secs(600) {
                return Ok("never".to_owned());
            }
            if !simulated.call(bad) {
                seconds += passed.as_secs_f64();
                break;
            }
            calls += 1;
        }
    }
    let times = f64::from(u32::try_from(times)?);
    Ok(format!(
        "{:.1} s, {:.0} calls",
        seconds / times,
        f64::from(calls) / times
    ))
}

/// How often the circuit opens in a million calls at 100 a second that fail at this rate, as they
/// always have.
fn false_trips(rule: &Rule, failing: f64) -> Result<String, Anything> {
    let every = Duration::from_millis(10);
    let usual = Conditions {
        every,
        failing,
        takes: QUICK,
    };
    let mut simulated = Simulated::new(rule)?;
    let mut trips = 0_u32;
    for _ in 0..HEALTHY_CALLS {
        if !simulated.call(usual) {
            debug_assert_eq!(simulated.breaker.state(), State::Open);
            trips += 1;
            simulated.breaker.handle().release();
        }
    }
    Ok(trips.to_string())
}
