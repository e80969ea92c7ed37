//! What goes on on one connection, counted where it happens and read by its [`super::watch`].
//!
//! Its task alone reads its bytes and starts its exchanges, so those two counts need no atomic
//! addition. Over HTTP/2 exchanges go on in tasks of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::drain::Drain;

/// Counters of one connection. They wrap, and are only ever compared.
#[derive(Debug, Default)]
pub(super) struct Activity {
    drain: Drain,
    reads: AtomicU32,
    started: AtomicU32,
    ended: AtomicU32,
    /// Exchanges in flight that wait for the service, not for the client.
    waiting: AtomicU32,
    /// Frames that the client has taken.
    taken: AtomicU32,
    http2: AtomicBool,
}

/// One look at the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) reads: u32,
    pub(super) started: u32,
    pub(super) ended: u32,
    pub(super) waiting: u32,
    pub(super) taken: u32,
    pub(super) http2: bool,
}

impl Seen {
    pub(super) const fn in_flight(&self) -> u32 {
        self.started.wrapping_sub(self.ended)
    }
}

impl Activity {
    /// Of a connection that ends with `drain`.
    pub(super) fn new(drain: Drain) -> Self {
        Self {
            drain,
            ..Self::default()
        }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            reads: self.reads.load(Relaxed),
            started: self.started.load(Relaxed),
            ended: self.ended.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            taken: self.taken.load(Relaxed),
            http2: self.http2.load(Relaxed),
        }
    }

    /// Some bytes were read. For the connection's task alone.
    pub(super) fn read(&self) {
        count(&self.reads);
    }

    pub(super) fn is_http2(&self) {
        self.http2.store(true, Relaxed);
    }
}

/// Counts one more where nobody else does.
fn count(counter: &AtomicU32) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

/// One request and its response, from head to the last frame or the drop of either.
#[derive(Debug)]
pub(super) struct Exchange {
    activity: Arc<Activity>,
    waiting: bool,
}

impl Exchange {
    /// Begins. For the connection's task alone.
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        count(&activity.started);
        activity.waiting.fetch_add(1, Relaxed);
        Self {
            activity: Arc::clone(activity),
            waiting: true,
        }
    }

    /// The service is waited for, or no longer is.
    pub(super) fn wait(&mut self, waiting: bool) {
        match (self.waiting, waiting) {
            (false, true) => self.activity.waiting.fetch_add(1, Relaxed),
            (true, false) => self.activity.waiting.fetch_sub(1, Relaxed),
            _ => return,
        };
        self.waiting = waiting;
    }

    /// Whether the client should be told to leave.
    pub(super) fn is_draining(&self) -> bool {
        self.activity.drain.is_draining()
    }

    /// The client took a frame.
    pub(super) fn taken(&self) {
        self.activity.taken.fetch_add(1, Relaxed);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.wait(false);
        self.activity.ended.fetch_add(1, Relaxed);
    }
}
