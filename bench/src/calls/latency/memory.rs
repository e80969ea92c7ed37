//! What a series holds, as asked of the allocator.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Duration;

use ::prometheus::core::Collector;
use buttress_core::clock::{Clock, Instant};
use buttress_core::trace_context::TraceContext;
use buttress_latency::{Recorder, RollingRecorder, Windows};
use mockalloc::record_allocs;

use super::buttress::NAME;
use super::samples::durations;
use super::{hdrhistogram, prometheus};
use crate::Error;
use crate::report::{Memory, Row};

/// Enough for a record in every bucket that the samples fall into, and in every slice.
const RECORDS: u64 = 10_000;
/// Longer than the longest window.
const SECONDS: u64 = 400;

pub(super) fn rows() -> Result<Vec<Row>, Error> {
    // What a program holds once is not counted.
    let _once = (Recorder::new().snapshot(), durations());
    Ok(vec![
        recorder(),
        exemplars()?,
        held("memory/recorder", "hdrhistogram", hdrhistogram::histogram)?,
        held("memory/recorder", "prometheus", || {
            let histogram = prometheus::histogram()?;
            black_box(histogram.collect());
            Ok(histogram)
        })?,
        windows("memory/windows/busy", RECORDS),
        windows("memory/windows/idle", 0),
    ])
}

/// As two threads fill it, each its own shard.
fn recorder() -> Row {
    let samples = durations();
    let mut made = None;
    let mut seen = vec![record_allocs(|| made = Some(Recorder::new()))];
    if let Some(recorder) = &made {
        // A thread that ends leaves its shard to the next.
        let together = Barrier::new(2);
        let fill = || {
            let seen = record_allocs(|| samples.each(RECORDS, |each| recorder.record(each)));
            together.wait();
            seen
        };
        std::thread::scope(|scope| {
            let threads = [scope.spawn(fill), scope.spawn(fill)];
            seen.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
        });
    }
    Row::Memory(Memory {
        bench: "memory/recorder",
        name: NAME,
        bytes: seen.iter().map(mockalloc::AllocInfo::mem_leaked).sum(),
        allocs: seen.iter().map(mockalloc::AllocInfo::num_leaks).sum(),
    })
}

/// What the first record of a sampled trace takes more than the next.
fn exemplars() -> Result<Row, Error> {
    let trace = TraceContext::new(1, 1, true).ok_or("no trace has the ID 0")?;
    let rolling = RollingRecorder::new(&Windows::default(), Instant::ORIGIN);
    rolling.record(Instant::ORIGIN, Duration::from_millis(1));
    let seen = record_allocs(|| {
        let duration = Duration::from_millis(1);
        rolling.record_traced(Instant::ORIGIN, duration, &trace, &Clock::monotonic());
    });
    black_box(rolling);
    Ok(Row::Memory(Memory {
        bench: "memory/exemplars",
        name: NAME,
        bytes: seen.mem_leaked(),
        allocs: seen.num_leaks(),
    }))
}

/// A series that has `records` in each second, without its recorder.
fn windows(bench: &'static str, records: u64) -> Row {
    let samples = durations();
    let mut made = None;
    let with = record_allocs(|| {
        let rolling = RollingRecorder::new(&Windows::default(), Instant::ORIGIN);
        for second in 0..SECONDS {
            let now = Instant::ORIGIN.saturating_add(Duration::from_secs(second));
            samples.each(records, |each| rolling.record(now, each));
        }
        made = Some(rolling);
    });
    let mut recorder = None;
    let without = record_allocs(|| {
        let alone = Recorder::new();
        samples.each(records, |each| alone.record(each));
        recorder = Some(alone);
    });
    black_box((made, recorder));
    Row::Memory(Memory {
        bench,
        name: NAME,
        bytes: with.mem_leaked().saturating_sub(without.mem_leaked()),
        allocs: with.num_leaks().saturating_sub(without.num_leaks()),
    })
}

fn held<T>(
    bench: &'static str,
    name: &'static str,
    make: impl Fn() -> Result<T, Error>,
) -> Result<Row, Error> {
    drop(make()?);
    let mut kept = None;
    let seen = record_allocs(|| kept = Some(make()));
    black_box(kept).transpose()?;
    Ok(Row::Memory(Memory {
        bench,
        name,
        bytes: seen.mem_leaked(),
        allocs: seen.num_leaks(),
    }))
}
