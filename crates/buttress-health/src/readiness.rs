//! Whether traffic should come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where in its life a process is. Clones share it; reading it is one atomic load.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<AtomicU8>);

/// A phase in the life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It does not take traffic yet.
    Starting,
    /// It takes traffic.
    Ready,
    /// It finishes what it has begun, and asks for no more.
    Draining,
}

impl Readiness {
    /// A process that does not take traffic yet.
    pub fn starting() -> Self {
        Self(Arc::new(AtomicU8::new(Phase::Starting as u8)))
    }

    /// A process that takes traffic.
    pub fn ready() -> Self {
        Self(Arc::new(AtomicU8::new(Phase::Ready as u8)))
    }

    /// Traffic may come; unless the process is draining, which is final.
    pub fn set_ready(&self) {
        self.0.fetch_max(Phase::Ready as u8, Ordering::AcqRel);
    }

    /// No more traffic should come. Say so before the listeners close, and by the time that those who
    /// send traffic take to notice.
    pub fn drain(&self) {
        self.0.fetch_max(Phase::Draining as u8, Ordering::AcqRel);
    }

    /// The present phase.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Whether traffic should come.
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Ready
    }
}

impl Phase {
    /// The name used in JSON and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_starts_takes_traffic_and_drains_for_every_clone() {
        let readiness = Readiness::starting();
        let reader = readiness.clone();
        assert_eq!(reader.phase(), Phase::Starting);
        readiness.set_ready();
        assert!(reader.is_ready());
        readiness.drain();
        assert_eq!(reader.phase(), Phase::Draining);
    }

    #[test]
    fn no_late_start_undoes_a_drain() {
        let readiness = Readiness::starting();
        readiness.drain();
        readiness.set_ready();
        assert_eq!(readiness.phase(), Phase::Draining);
        assert!(Readiness::ready().is_ready());
    }
}
