//! What the test suites of other breakers ask of a breaker, asked of this one.
//!
//! Each test names where its scenario comes from. Where the machines differ the scenario is asked in the
//! form that fits this one, and the comment above it says what is different:
//!
//! | asked there | here |
//! |---|---|
//! | timers that change the state by themselves, and are cancelled | there is no timer: time is looked at when somebody calls, so nothing is left to cancel |
//! | callbacks that must not run at once | no callback is ever called: events go to channels, whose order is tested; a user's own rule is asked under no lock, and may be asked by two calls at once |
//! | a function for the open time, which may panic | the open time is data (`Backoff`); the user's code that is left, a rule and a classifier, may panic |
//! | a growing open time starts afresh on closing | on proof of health, of which closing is the beginning |
//! | disabled records nothing | held closed, calls are counted for whoever watches, and judged by nobody |
//! | a row of failures ages with the window it was seen in | a row has no window; windows age |
//! | counters that start afresh each interval, and results from before | windows slide; what is refused is a result from before a transition |
//! | an ignored error closes a half-open circuit | it says nothing, and gives its place to a call that does |
//! | a probe that a layer further in refuses opens the circuit again | the same: its place is free at once |
//! | a call that is half-open counts for good, ended or not | places are leased: so many at once, each given back |
//! | rejecting with a growing probability | a share of calls passes only in a ramp; the scenarios' bounds are kept by opening and probing |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;
mod tools;

mod by_hand;
mod events;
mod half_open;
mod half_open_rates;
mod late;
mod open_time;
mod service;
mod slow;
mod windows;
