//! What every buttress room shares: outcomes and how they are decided, time and randomness as
//! arguments, the circuit, exact windows, watched bodies, events and metrics as plain data.
//!
//! The rooms (`buttress-breaker`, `buttress-latency`, `buttress-route` …) never import each other.
//! Whatever one must tell another is a type in this crate: a breaker publishes a
//! [`health::HealthSignal`], the router reads it; each room hands out [`metric::Family`] values and
//! `buttress-telemetry` encodes them.
//!
//! # What is here
//!
//! | module | one idea |
//! |---|---|
//! | [`outcome`] | how one exchange ended, and whose doing it was |
//! | [`protocol`] | HTTP or any service, told apart by type |
//! | `classify`, `judge`, `body` (feature `http`) | deciding an outcome from head, body and trailers, exactly once |
//! | [`reject`] | a refusal of our own, as an error and as a response |
//! | [`settle`], [`judge_result`] | the guard that turns every exit into exactly one outcome |
//! | [`clock`], [`rng`] | time and randomness, passed in |
//! | [`circuit`] | admit, open, probe under lease, close: a state machine without I/O |
//! | [`window`] | exact counts over the last calls or the last seconds |
//! | [`health`], [`verdict`] | what a room knows of a thing, and why |
//! | [`events`], [`metric`], [`trace_context`] | what readers are given |
//! | [`bounded`] | maps that a client cannot grow |
//! | [`spawn`] | work that outlives a request, capped and counted |
//! | [`attempt`], [`decision`] | which attempt at a request one is; what a room decided about it |
//! | `replay` (feature `http`) | a body that is sent again |
//! | [`deadline`], [`config`] | a deadline, and marking that it passed; refusing a bad configuration |
//!
//! # What it promises
//!
//! - An admitted call ends in exactly one [`outcome::Outcome`] on every exit: `settle::tests`,
//!   `tests/judge.rs`.
//! - From every reachable state of a [`circuit::Circuit`] traffic flows again after the open time
//!   and a probe deadline: `tests/circuit_model.rs`.
//! - Windows equal an exact recount: `tests/window_model.rs`.
//! - No clock or generator is read that was not passed in: `clippy.toml` forbids the others.
//!
//! # What it costs
//!
//! [`clock::Clock::now`] reads the time-stamp counter; nothing here allocates per call.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod attempt;
pub mod bounded;
pub mod circuit;
pub mod clock;
pub mod config;
pub mod deadline;
pub mod decision;
pub mod events;
pub mod health;
pub mod judge_result;
pub mod metric;
pub mod outcome;
pub mod protocol;
pub mod readying;
pub mod reject;
pub mod rng;
pub mod settle;
pub mod spawn;
pub mod trace_context;
pub mod verdict;
pub mod window;

#[cfg(feature = "http")]
pub mod body;
#[cfg(feature = "http")]
pub mod classify;
#[cfg(feature = "http")]
pub mod judge;
#[cfg(feature = "http")]
pub mod replay;

/// The error type of services that mix errors, as tower's own.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
