//! Comparisons of single layers with their peers, call by call: `cargo compare breaker`,
//! `cargo compare correlation`, `cargo compare latency` and `cargo compare route` run this.
//!
//! All candidates of a comparison take turns in short rounds. On one thread a round is measured in
//! CPU time; on two threads, each on a core of its own, in the time that passes. A round in which a
//! thread lost its core to another program does not count. The median says what to expect, the
//! minimum what the code costs.
//!
//! Two programs are made of it. An allocator that counts looks at a thread-local variable each time, which is no
//! layer's doing: `layers` measures with the allocator that a program has if it chooses none, and has
//! `layers-counted` count allocations and bytes.

#[path = "../bar.rs"]
mod bar;
mod breaker;
mod cores;
mod correlation;
mod counted;
mod drive;
mod latency;
mod measure;
mod report;
mod route;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::Row;

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
    Route {
        #[command(flatten)]
        options: Options,
        /// Whether the bars of the router are met: prints each, and ends in failure if one is not
        #[arg(long)]
        judge: bool,
    },
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

impl Comparison {
    fn run(&self) -> Result<Vec<Row>, Error> {
        match *self {
            Self::Breaker(options) => breaker::compare(options),
            Self::Correlation(options) => correlation::compare(options),
            Self::Latency(options) => latency::compare(options),
            Self::Route { options, .. } => route::compare(options),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Breaker(_) => "breaker",
            Self::Correlation(_) => "correlation",
            Self::Latency(_) => "latency",
            Self::Route { .. } => "route",
        }
    }

    const fn options(&self) -> Options {
        match self {
            Self::Breaker(options)
            | Self::Correlation(options)
            | Self::Latency(options)
            | Self::Route { options, .. } => *options,
        }
    }

    /// Whether what was seen is held to what may be.
    const fn is_judged(&self) -> bool {
        matches!(self, Self::Route { judge: true, .. })
    }
}

/// What `layers` does: measures, and has somebody else count.
pub fn measured() -> ExitCode {
    ended(|comparison| {
        let counted = counted::lines(comparison.name())?;
        let mut rows = comparison.run()?;
        report::adopt(&mut rows, &counted)?;
        Ok(rows)
    })
}

/// What `layers-counted` does, whose allocator counts: the same, and its times are nobody's.
pub fn counted() -> ExitCode {
    ended(Comparison::run)
}

fn ended(run: impl FnOnce(&Comparison) -> Result<Vec<Row>, Error>) -> ExitCode {
    let comparison = Arguments::parse().comparison;
    match run(&comparison).and_then(|rows| told(&comparison, &rows)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes what was measured; whether the bars are met, if that was asked.
fn told(comparison: &Comparison, rows: &[Row]) -> Result<bool, Error> {
    let (json, judged) = (comparison.options().json, comparison.is_judged());
    let out = &mut io::stdout().lock();
    if !(judged && json) {
        report::write(out, rows, json)?;
    }
    if judged {
        bar::write(out, &route::bars(rows), json)
    } else {
        Ok(true)
    }
}
