//! Ending in steps, so that nobody loses a request.
//!
//! 1. *Lame duck*: everything is still served, but every HTTP/1 response says `Connection: close`
//!    and readiness says no, so that clients and balancers leave by themselves.
//! 2. *Closing*: the listener is closed, HTTP/2 connections get a `GOAWAY`, idle ones end, and
//!    what is in flight goes on.
//! 3. *Cut*: the deadline has passed; what is left is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Acquire, Ordering::Release};

use tokio::sync::watch;

/// How far ending has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not begun.
    #[default]
    Serving,
    /// Everything is served, and clients are told to leave.
    LameDuck,
    /// Nothing new is accepted.
    Closing,
    /// What is left is dropped.
    Cut,
}

/// Starts and shows the end of a server; clones are one.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    phase: watch::Sender<Phase>,
    /// The same, for those who look once a request: a channel is read under a lock.
    told: AtomicU8,
}

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to end. Does nothing the second time.
    pub fn start(&self) {
        self.advance(Phase::LameDuck);
    }

    /// How far ending has come.
    pub fn phase(&self) -> Phase {
        *self.shared.phase.borrow()
    }

    /// Whether ending has begun; readiness should say so.
    pub fn is_draining(&self) -> bool {
        self.has_reached(Phase::LameDuck)
    }

    /// Whether a phase is reached or passed, at the price of one load.
    pub fn has_reached(&self, phase: Phase) -> bool {
        self.shared.told.load(Acquire) >= phase as u8
    }

    /// Goes on to a phase; never back.
    pub fn advance(&self, to: Phase) {
        self.shared.phase.send_if_modified(|phase| {
            let forward = to > *phase;
            *phase = to.max(*phase);
            // Before anybody is woken to look.
            self.shared.told.store(*phase as u8, Release);
            forward
        });
    }

    /// Waits until a phase is reached or passed.
    pub fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        let mut receiver = self.shared.phase.subscribe();
        // Without a sender nothing would ever be drained; the future then simply waits.
        let keep = Arc::clone(&self.shared);
        async move {
            drop(receiver.wait_for(|now| *now >= phase).await);
            drop(keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_go_forward() {
        let drain = Drain::new();
        assert!(!drain.is_draining());
        drain.advance(Phase::Closing);
        drain.start();
        assert_eq!(drain.phase(), Phase::Closing);
        assert!(drain.is_draining() && drain.has_reached(Phase::Closing));
        assert!(!drain.has_reached(Phase::Cut));
        drain.reached(Phase::LameDuck).await;
    }
}
