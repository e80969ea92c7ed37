//! What the record at the end of a slice takes more than others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::clock::Instant;

use super::buttress::{NAME, busy, read, trend};
use super::samples::durations;
use crate::Error;
use crate::measure::{Candidate, Measured, measure};
use crate::report::{Row, median, minimum};

/// The same records without an end of a slice; no row of its own.
const BASELINE: &str = "baseline";
/// Records in each slice, so that a slice has something in most of its buckets.
const RECORDS: u64 = 2_000;
/// The slice of the shortest of the default windows.
const SLICE: Duration = Duration::from_secs(1);

/// On one thread: two never fold at once.
pub(super) fn rows(rounds: u32) -> Result<Vec<Row>, Error> {
    let all = [
        slices(NAME, SLICE),
        slices(BASELINE, Duration::ZERO),
        read(),
        trend(),
    ];
    for candidate in &all {
        candidate.expect(10, 10)?;
    }
    let measured = measure(&all, rounds, 1)?;
    let shown = measured.iter().filter(|one| one.name != BASELINE);
    Ok(shown.map(|one| over_baseline(one, &measured)).collect())
}

fn slices(name: &'static str, length: Duration) -> Candidate {
    let (samples, rolling, now) = (durations(), busy(), AtomicU64::new(0));
    let length = u64::try_from(length.as_nanos()).unwrap_or(0);
    Candidate::new("fold", name, move |slices| {
        for _ in 0..slices {
            let now = Instant::from_nanos(now.fetch_add(length, Ordering::Relaxed) + length);
            samples.each(RECORDS, |duration| rolling.record(now, duration));
        }
        slices
    })
}

/// The row of `one`, without what the records themselves take where they are not what is measured.
fn over_baseline(one: &Measured, all: &[Measured]) -> Row {
    let baseline = all
        .iter()
        .find(|other| other.bench == one.bench && other.name == BASELINE);
    let Some(baseline) = baseline else {
        return Row::of(one);
    };
    Row::time(
        one,
        median(&one.rounds) - median(&baseline.rounds),
        minimum(&one.rounds) - minimum(&baseline.rounds),
        one.allocations - baseline.allocations,
    )
}
