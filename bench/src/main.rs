//! Comparisons of buttress with its peers.
//!
//! `cargo compare <what>` measures and prints a table; with `--json`, one object a line. Every
//! comparison runs its candidates in interleaved rounds, so that a machine that warms up or gets
//! busy does so for all of them, and reports medians with their extremes. `--judge` of `faults` and `route` holds
//! what is seen to what may be, and ends in failure if something is not met.
//!
//! Linux only: cores are pinned and CPU clocks read by its system calls.

mod bar;
mod faults;
mod gateway;
/// The gateway's own, for the client of the bare proxy.
#[path = "../../examples/gateway/src/gather.rs"]
mod gather;
mod layers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// The gateway's own: what is compared with it allocates as it does.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What a comparison may fail with; it is printed and ends the program.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(name = "cargo compare", about = "Measures buttress beside its peers")]
struct Arguments {
    #[command(subcommand)]
    comparison: Comparison,
}

#[derive(Debug, Subcommand)]
enum Comparison {
    /// The whole gateway beside a bare hyper proxy: requests per CPU-second of each
    Gateway(gateway::Options),
    /// The gateway with one of three origins ill: what users see, and how soon it is out and back
    Faults(faults::Options),
    /// The circuit breaker beside recloser, failsafe and tower-resilience: a call of each
    #[command(disable_help_flag = true)]
    Breaker(layers::Options),
    /// The correlation layer beside tower-http's request IDs: what each adds to an exchange
    #[command(disable_help_flag = true)]
    Correlation(layers::Options),
    /// The latency recorder beside HdrHistogram, prometheus, metrics and OpenTelemetry: a record of each
    #[command(disable_help_flag = true)]
    Latency(layers::Options),
    /// The router beside tower's balancers: a pick, a request, an update of the list
    #[command(disable_help_flag = true)]
    Route(layers::Options),
    /// A part that a comparison runs as a process of its own
    #[command(hide = true, subcommand)]
    Part(gateway::Part),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().comparison {
        Comparison::Gateway(options) => gateway::compare(&options).map(|()| true),
        Comparison::Faults(options) => faults::compare(&options),
        Comparison::Breaker(options) => layers::compare("breaker", &options),
        Comparison::Correlation(options) => layers::compare("correlation", &options),
        Comparison::Latency(options) => layers::compare("latency", &options),
        Comparison::Route(options) => layers::compare("route", &options),
        Comparison::Part(part) => part.run().map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
