//! Rounds of calls, taken by all candidates in turn.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::Error;
use crate::cores::{self, Meter, Span};

/// Calls that warm a candidate up, and by which the length of its rounds is found.
const WARM_UP: u64 = 2_000;
/// Calls over which allocations are counted.
const COUNTED: u64 = 1_000;
/// The share of the time of the slowest thread in which all were at it, for a round to count.
const TOGETHER: f64 = 0.8;
/// How long a round may be: short beside a scheduler's turn, so that some round is undisturbed.
const ROUND: Duration = Duration::from_micros(200);

/// One way to do one thing.
pub(crate) struct Candidate {
    /// What is done.
    pub(crate) bench: &'static str,
    /// Who does it.
    pub(crate) name: &'static str,
    /// Does it as often as told, on whatever thread it is called; returns how often it succeeded.
    work: Box<dyn Fn(u64) -> u64 + Send + Sync>,
}

/// What all rounds of a candidate came to, in nanoseconds a call.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) bench: &'static str,
    pub(crate) name: &'static str,
    pub(crate) threads: usize,
    /// One for each round, in their order.
    pub(crate) rounds: Vec<f64>,
    /// Allocations a call.
    pub(crate) allocations: f64,
}

impl Candidate {
    pub(crate) fn new(
        bench: &'static str,
        name: &'static str,
        work: impl Fn(u64) -> u64 + Send + Sync + 'static,
    ) -> Self {
        let work = Box::new(work);
        Self { bench, name, work }
    }

    /// Gets it into the state that is measured.
    pub(crate) fn warm_up(&self) {
        self.run(WARM_UP);
    }

    fn run(&self, calls: u64) {
        black_box((self.work)(calls));
    }

    /// Fails unless of so many calls so many succeed: what does something else is not compared.
    pub(crate) fn expect(&self, calls: u64, successes: u64) -> Result<(), Error> {
        let succeeded = (self.work)(calls);
        if succeeded == successes {
            return Ok(());
        }
        let (bench, name) = (self.bench, self.name);
        Err(
            format!("{bench} of {name}: {succeeded} of {calls} calls succeeded, not {successes}")
                .into(),
        )
    }

    /// So many calls as fill a round.
    fn calls_in_a_round(&self) -> Result<u64, Error> {
        self.warm_up();
        let taken = Meter::ThreadTime.span(|| self.run(WARM_UP))?.length();
        let fitting = ROUND.as_secs_f64() / taken.as_secs_f64().max(1e-9) * WARM_UP as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped"
        )]
        let fitting = fitting.clamp(10.0, 1e6) as u64;
        Ok(fitting)
    }

    fn allocations(&self) -> f64 {
        let seen = mockalloc::record_allocs(|| self.run(COUNTED));
        seen.num_allocs() as f64 / COUNTED as f64
    }

    /// A round on each of `cores` at once.
    fn round(&self, calls: u64, cores: &[usize]) -> Result<Round, Error> {
        let spans = match cores {
            [_] => vec![Meter::ThreadTime.span(|| self.run(calls))?],
            _ => self.spans(calls, cores)?,
        };
        Ok(Round::new(&spans, calls))
    }

    /// From when to when each core was at `calls` calls, begun at the same moment.
    fn spans(&self, calls: u64, cores: &[usize]) -> Result<Vec<Span>, Error> {
        let arrived = AtomicUsize::new(0);
        let one = |core| {
            let pinned = cores::pin_to(core);
            arrived.fetch_add(1, Ordering::AcqRel);
            while arrived.load(Ordering::Acquire) < cores.len() {
                std::hint::spin_loop();
            }
            pinned?;
            Meter::WallTime.span(|| self.run(calls))
        };
        let one = &one;
        thread::scope(|scope| {
            let threads: Vec<_> = cores
                .iter()
                .map(|&core| scope.spawn(move || one(core)))
                .collect();
            let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
            joined
                .map(|span| span.map_err(|_| "a measuring thread panicked")?)
                .collect()
        })
    }
}

/// What one round came to.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// Nanoseconds a call, the mean of all threads.
    call: f64,
    /// No thread lost its core, and none went on alone.
    counts: bool,
}

impl Round {
    fn new(spans: &[Span], calls: u64) -> Self {
        let lengths = || spans.iter().map(|span| span.length().as_nanos() as f64);
        let longest = lengths().fold(0.0, f64::max);
        Self {
            call: lengths().sum::<f64>() / spans.len() as f64 / calls as f64,
            counts: common(spans) >= TOGETHER * longest
                && spans.iter().all(|span| span.undisturbed),
        }
    }
}

/// The nanoseconds that are in all of `spans`.
fn common(spans: &[Span]) -> f64 {
    let begin = spans.iter().map(|span| span.begin).max();
    let end = spans.iter().map(|span| span.end).min();
    let common = end
        .unwrap_or_default()
        .saturating_sub(begin.unwrap_or_default());
    common.as_nanos() as f64
}

/// Measures all `candidates` on one thread, and on up to `threads` where there are as many cores.
pub(crate) fn measure(
    candidates: &[Candidate],
    rounds: u32,
    threads: usize,
) -> Result<Vec<Measured>, Error> {
    let cores = cores::allowed()?;
    let (&first, _) = cores.split_first().ok_or("no core to run on")?;
    cores::pin_to(first)?;
    let mut lanes = Vec::new();
    for candidate in candidates {
        let calls = candidate.calls_in_a_round()?;
        for threads in 1..=cores.len().min(threads) {
            lanes.push(Lane {
                candidate,
                calls,
                cores: cores.get(..threads).unwrap_or_default(),
                rounds: Vec::new(),
            });
        }
    }
    for _ in 0..rounds {
        for lane in &mut lanes {
            lane.run()?;
        }
    }
    Ok(lanes.into_iter().map(Lane::finish).collect())
}

/// A candidate on so many cores.
struct Lane<'a> {
    candidate: &'a Candidate,
    calls: u64,
    cores: &'a [usize],
    rounds: Vec<Round>,
}

impl Lane<'_> {
    fn run(&mut self) -> Result<(), Error> {
        self.rounds
            .push(self.candidate.round(self.calls, self.cores)?);
        Ok(())
    }

    /// Disturbed rounds do not count, unless there is no other.
    fn finish(self) -> Measured {
        let any = self.rounds.iter().any(|round| round.counts);
        let counting = self.rounds.iter().filter(|round| round.counts || !any);
        Measured {
            bench: self.candidate.bench,
            name: self.candidate.name,
            threads: self.cores.len(),
            rounds: counting.map(|round| round.call).collect(),
            allocations: self.candidate.allocations(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(begin: u64, end: u64) -> Span {
        let (begin, end) = (Duration::from_nanos(begin), Duration::from_nanos(end));
        Span {
            begin,
            end,
            undisturbed: true,
        }
    }

    #[test]
    fn a_round_counts_if_no_thread_lost_its_core_or_went_on_alone() {
        let together = Round::new(&[span(0, 100), span(10, 110)], 10);
        assert!(together.counts);
        assert_eq!(together.call.to_string(), "10");
        assert!(!Round::new(&[span(0, 100), span(90, 190)], 10).counts);
        assert!(!Round::new(&[span(0, 100), span(0, 300)], 10).counts);
        assert!(!Round::new(&[span(0, 10), span(20, 30)], 10).counts);
        assert!(Round::new(&[span(5, 6)], 1).counts);
        let mut disturbed = span(5, 6);
        disturbed.undisturbed = false;
        assert!(!Round::new(&[disturbed], 1).counts);
    }
}
