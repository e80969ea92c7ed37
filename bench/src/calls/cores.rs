//! Cores to pin to, and clocks to measure by.

use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::Error;

/// The cores that this process may run on.
pub(crate) fn allowed() -> Result<Vec<usize>, Error> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|&core| allowed.is_set(core).unwrap_or(false))
        .collect())
}

/// Pins the calling thread.
pub(crate) fn pin_to(core: usize) -> Result<(), Error> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(())
}

/// What a round is measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meter {
    /// The calling thread's user and system time: what others do on its core is not in it.
    ThreadTime,
    /// The time that passes, in which threads that wait for one another do so.
    WallTime,
}

/// From when to when, by a meter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    /// Whether the thread had its core for all of it, unless it gave it up.
    pub(crate) undisturbed: bool,
}

impl Span {
    pub(crate) fn length(self) -> Duration {
        self.end.saturating_sub(self.begin)
    }
}

impl Meter {
    /// From when to when `work` runs.
    pub(crate) fn span(self, work: impl FnOnce()) -> Result<Span, Error> {
        let before = disturbances()?;
        let begin = self.read()?;
        work();
        let end = self.read()?;
        Ok(Span {
            begin,
            end,
            undisturbed: disturbances()? == before,
        })
    }

    fn read(self) -> Result<Duration, Error> {
        let clock = match self {
            Self::ThreadTime => ClockId::CLOCK_THREAD_CPUTIME_ID,
            Self::WallTime => ClockId::CLOCK_MONOTONIC,
        };
        Ok(clock_gettime(clock)?.into())
    }
}

/// How often the calling thread has lost its core to another.
fn disturbances() -> Result<i64, Error> {
    Ok(getrusage(UsageWho::RUSAGE_THREAD)?.involuntary_context_switches())
}
