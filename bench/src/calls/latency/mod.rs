//! `latency`: counting one duration. The durations are lognormal, of 5 ms in the middle, and the same
//! for all; nobody reads the clock.
//!
//! | bench | what happens |
//! |---|---|
//! | `record` | a duration into a series that is at hand |
//! | `record/windows` | the same, into one with rolling windows |
//! | `record/unsampled` | the same with a trace that is not sampled, each 10 ms after the one before |
//! | `record/sampled` | with one that is: once a second an octave has a new exemplar |
//! | `record/route` | the series is looked up by its route (of 100), method and status first |
//! | `layer/plain` | a call through the layer to a service that answers at once: two readings of the clock, the record, what is in flight |
//! | `layer/http` | the same for HTTP, where `buttress` takes a third reading for the time to the head and `buttress-lean` does not |
//! | `fold` | the end of a slice: what the one record that folds the windows takes more |
//! | `read` | the windows of a busy series, each with its five percentiles |
//! | `trend` | how the P99 of a busy series moves over the slices of its longest window |
//! | `memory/recorder` | bytes of a busy series without windows, filled by two threads |
//! | `memory/exemplars` | bytes of its exemplars |
//! | `memory/windows` | bytes of the three windows of a busy series, and of an idle one |
//!
//! HdrHistogram, with three digits, is behind a mutex, as it has to be where threads share it; its
//! synchronised form makes a reader wait for every writer. OpenTelemetry has no series at hand: it
//! takes its five attributes with each record, in `record/route` made for it. What
//! metrics-exporter-prometheus keeps of each record until it is drained is not drained here. The
//! classic histograms have the 14 bounds of the HTTP conventions.

mod buttress;
mod fold;
mod hdrhistogram;
mod layer;
mod memory;
mod metrics;
mod opentelemetry;
mod prometheus;
mod prometheus_client;
mod samples;
mod traced;

use crate::measure::{Candidate, measure};
use crate::report::Row;
use crate::{Error, Options};

/// The order of the rows.
const BENCHES: [&str; 7] = [
    "record",
    "record/windows",
    "record/unsampled",
    "record/sampled",
    "record/route",
    "layer/plain",
    "layer/http",
];

/// The routes that a look-up finds its own among.
const ROUTES: usize = 100;

/// Measures.
pub(crate) fn compare(options: Options) -> Result<Vec<Row>, Error> {
    // Measured first: nothing that a candidate leaves behind is counted.
    let memory = memory::rows()?;
    let mut rows: Vec<Row> = measure(&candidates()?, options.rounds, 2)?
        .iter()
        .map(Row::of)
        .collect();
    rows.extend(fold::rows(options.rounds)?);
    rows.extend(memory);
    Ok(rows)
}

/// Of every bench first ours, then the peers'.
fn candidates() -> Result<Vec<Candidate>, Error> {
    let mut all = buttress::candidates()?;
    all.extend(traced::candidates()?);
    all.extend(hdrhistogram::candidates()?);
    all.extend(prometheus::candidates()?);
    all.extend(prometheus_client::candidates());
    all.extend(metrics::candidates()?);
    all.extend(opentelemetry::candidates());
    all.extend(layer::candidates()?);
    all.sort_by_key(|candidate| BENCHES.iter().position(|bench| *bench == candidate.bench));
    Ok(all)
}

/// The names of the routes.
fn routes() -> Vec<String> {
    (0..ROUTES)
        .map(|n| format!("/api/v1/things-{n}/{{id}}"))
        .collect()
}
