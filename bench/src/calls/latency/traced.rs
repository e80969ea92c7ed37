//! A record that comes with its trace, as one may become an exemplar.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::clock::{Clock, Instant};
use buttress_core::trace_context::TraceContext;
use buttress_latency::{RollingRecorder, Windows};

use super::buttress::NAME;
use super::samples::durations;
use crate::Error;
use crate::measure::Candidate;

/// From one record to the next, in nanoseconds.
const APART: u64 = 10_000_000;
/// So long that hardly any record folds.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    Ok(vec![
        traced("record/unsampled", false)?,
        traced("record/sampled", true)?,
    ])
}

fn traced(bench: &'static str, sampled: bool) -> Result<Candidate, Error> {
    let (lengths, clock) = (durations(), Clock::monotonic());
    let rolling = RollingRecorder::new(&Windows::new([WINDOW])?, Instant::ORIGIN);
    let trace = TraceContext::new(1 << 64 | 2, 3, sampled).ok_or("no trace has the ID 0")?;
    let time = AtomicU64::new(1);
    Ok(Candidate::new(bench, NAME, move |records| {
        let mut now = time.fetch_add(records * APART, Ordering::Relaxed);
        lengths.each(records, |duration| {
            now += APART;
            let now = Instant::from_nanos(now);
            rolling.record_traced(now, duration, black_box(&trace), &clock);
        });
        records
    }))
}
