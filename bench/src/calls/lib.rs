//! Comparisons of single layers with their peers, call by call: `cargo compare breaker`,
//! `cargo compare correlation`, `cargo compare latency` and `cargo compare route` run this.
//!
//! All candidates of a comparison take turns in short rounds. On one thread a round is measured in
//! CPU time; on two threads, each on a core of its own, in the time that passes. A round in which a
//! thread lost its core to another program does not count. The median says what to expect, the
//! minimum what the code costs.

mod breaker;
mod cores;
mod correlation;
mod drive;
mod latency;
mod measure;
mod report;
mod route;

use std::alloc::System;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mockalloc::Mockalloc;

/// The allocator that a program has if it chooses none, and a count of what it is asked for.
#[global_allocator]
static ALLOCATOR: Mockalloc<System> = Mockalloc(System);

/// What a comparison may fail with; it is printed and ends the program.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(
    name = "cargo compare",
    about = "Measures buttress's layers beside their peers"
)]
struct Arguments {
    #[command(subcommand)]
    comparison: Comparison,
}

#[derive(Debug, Subcommand)]
enum Comparison {
    /// The circuit breaker beside recloser, failsafe and tower-resilience: a call of each
    Breaker(Options),
    /// The correlation layer beside tower-http's request IDs: what each adds to an exchange
    Correlation(Options),
    /// The recorder beside HdrHistogram, prometheus, metrics and OpenTelemetry: a record of each
    Latency(Options),
    /// The router beside tower's balancers: a pick, a request, an update of the list
    Route(Options),
}

/// How to compare.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Rounds that are measured
    #[arg(long, default_value_t = 101, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().comparison {
        Comparison::Breaker(options) => breaker::compare(options),
        Comparison::Correlation(options) => correlation::compare(options),
        Comparison::Latency(options) => latency::compare(options),
        Comparison::Route(options) => route::compare(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
