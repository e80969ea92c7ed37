//! Cores to pin to, and the CPU time of another process.

use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::Error;

/// Two cores: one for the proxy under measurement, the other for all that keeps it busy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) proxy: usize,
    pub(crate) load: usize,
}

impl Cores {
    /// The first two cores that this process may run on.
    pub(crate) fn of_this_process() -> Result<Self, Error> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false));
        match (cores.next(), cores.next()) {
            (Some(proxy), Some(load)) => Ok(Self { proxy, load }),
            _ => Err("two cores are needed: one for the proxy, one for the load".into()),
        }
    }
}

/// Pins the calling thread, and with it every thread and process that it starts from now on.
pub(crate) fn pin_to(core: usize) -> Result<(), Error> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(())
}

/// The CPU clock of one process: user and system time of all its threads, to the nanosecond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock(ClockId);

impl CpuClock {
    pub(crate) fn of_process(id: u32) -> Result<Self, Error> {
        Ok(Self(clock_getcpuclockid(Pid::from_raw(i32::try_from(
            id,
        )?))?))
    }

    /// CPU time used since the process began.
    pub(crate) fn read(self) -> Result<Duration, Error> {
        Ok(clock_gettime(self.0)?.into())
    }
}
