//! Which rule opens a circuit when, and what it costs to choose it.
//!
//! This is a page of the guide; there is no code in it.
//!
//! # In short
//!
//! Take a preset: [`Config::for_http_upstream`], [`Config::for_database`] or
//! [`Config::for_third_party_api`]; each says why its numbers are what they are. If none fits:
//!
//! 1. **A rate over time is the rule to start with**: [`Rule::FailureRate`], half of at least 20 calls
//!    in 10 s. It never opened by mistake in a million calls of which 30 % failed.
//! 2. **A row of failures beside it**: [`Rule::ConsecutiveFailures`], 10. It sees what is *down* fifty
//!    times as soon, and is the only rule that sees it where a call comes every ten seconds. A row of
//!    five is no better against what is down and opens by mistake where every tenth call fails.
//! 3. **A slow rule where a hang hurts**: [`Rule::SlowRate`]. It counts a call as slow when its time is
//!    up, not when it returns, and so sees a hang in six seconds, where every rule about failures
//!    waits for the first timeout.
//!
//! # Measured
//!
//! Time and calls until the circuit opens, from the first bad moment of a dependency that has been
//! healthy for five minutes (mean of twenty runs, never: not within ten minutes); and how often it
//! opens by mistake in a million calls at 100 a second of a dependency that fails at a steady rate, as
//! it always has. Calls take 50 ms; one that hangs is given up after 30 s.
//!
//! | rule | down, 100/s | 60 % fail, 100/s | 60 % fail, 1/s | down, 1 in 10 s | hangs, 100/s | 3 s slow, 100/s | trips, 1 % fail | trips, 10 % fail | trips, 30 % fail |
//! |---|---|---|---|---|---|---|---|---|---|
//! | `ConsecutiveFailures(5)` | 0.1 s, 9 calls | 0.4 s, 42 calls | 27.8 s, 28 calls | 50.0 s, 5 calls | 30.0 s, 3004 calls | never | 0 | 4 | 1707 |
//! | `ConsecutiveFailures(10)` | 0.1 s, 14 calls | 3.7 s, 374 calls | never | 100.0 s, 10 calls | 30.1 s, 3009 calls | never | 0 | 0 | 3 |
//! | `FailureRate` 50 % of ≥ 20 in 10 s | 5.0 s, 499 calls | 8.1 s, 806 calls | never | never | 30.2 s, 3019 calls | never | 0 | 0 | 0 |
//! | `FailureRate` 50 % of ≥ 10 in 60 s | 30.0 s, 2999 calls | 48.7 s, 4865 calls | 50.4 s, 50 calls | never | 45.0 s, 4499 calls | never | 0 | 0 | 0 |
//! | `FailureRate` 50 % of the last 100, ≥ 20 | 0.5 s, 54 calls | 0.9 s, 87 calls | 82.2 s, 82 calls | 298.0 s, 30 calls | 30.5 s, 3049 calls | never | 0 | 0 | 2 |
//! | `SlowRate` 2 s, 50 % of ≥ 20 in 10 s | never | never | never | never | 5.8 s, 585 calls | 5.8 s, 585 calls | 0 | 0 | 0 |
//! | `FailureOrSlowRate` 2 s, 50 % of ≥ 20 in 10 s | 5.0 s, 499 calls | 8.1 s, 806 calls | never | never | 5.8 s, 585 calls | 5.8 s, 585 calls | 0 | 0 | 0 |
//! | `Timeouts` 5 in 60 s | never | never | never | never | 30.0 s, 3004 calls | never | 0 | 0 | 0 |
//! | `Adaptive` 3 ×, from 5 to 50 %, ≥ 20 in 10 s | 0.7 s, 71 calls | 1.2 s, 119 calls | never | never | 30.2 s, 3019 calls | never | 0 | 0 | 0 |
//! | `Adaptive` 3 ×, from 20 to 50 %, ≥ 20 in 10 s | 2.4 s, 240 calls | 3.9 s, 387 calls | never | never | 30.2 s, 3019 calls | never | 0 | 0 | 0 |
//!
//! `cargo run --release -p buttress-breaker --example choosing_rules` prints this table: simulated on a
//! manual clock from fixed seeds, it is the same on every machine.
//!
//! # What it says
//!
//! - **A rate needs half its window to see what is down**, for until then the good calls of before are
//!   the greater part: 5 s of a window of 10 s, 30 s of a minute. The shorter the window, the sooner;
//!   the fewer calls in it, the more often by mistake.
//! - **A window must hold its minimum.** At one call a second a window of 10 s holds ten, and a rule
//!   that wants twenty never fires. With few calls use a minute, or the last calls, or a row.
//! - **A window of calls is quick at a high rate and slow at a low one**: the last hundred calls are a
//!   second or a quarter of an hour. It remembers a quiet night's failures in the morning; a window of
//!   time does not.
//! - **Nothing but a slow rule sees a hang before the timeout**, and nothing but a slow rule sees an
//!   answer that is right and late. Set its threshold well above the usual 99th percentile and well
//!   below the timeout.
//! - **An adaptive rule is nearly as quick as a row at what is unusual**, and opens at few failures where
//!   few are usual and at many where many are. Until it knows what is usual it opens at its ceiling, so on
//!   its first two hundred calls it is a plain rate. It has to see such a number in every `baseline`, or it
//!   stays one. What is certainly above the threshold is not learned, but what is known fades meanwhile: a
//!   dependency that goes from 1 to 10 % for good opens the circuit now and then for about an hour, at the
//!   defaults and 100 calls a second, and then no more.
//! - **Rules are added, not weighed**: the first to fire opens the circuit, so the mistakes of all of
//!   them add up as well.
//!
//! # Before you turn it on
//!
//! Start in [`State::Observing`] ([`Config::start`]): the rules are judged and reported, and nothing is
//! rejected. What they would have done stands in the events and in the snapshot's verdict.

#[cfg(doc)]
use crate::{Config, Rule, State};
