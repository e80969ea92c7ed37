//! What goes on on one connection, counted where it happens and read by its [`super::watch`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Counters of one connection. They wrap, and are only ever compared.
#[derive(Debug, Default)]
pub(super) struct Activity {
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

    pub(super) fn read(&self) {
        self.reads.fetch_add(1, Relaxed);
    }

    pub(super) fn is_http2(&self) {
        self.http2.store(true, Relaxed);
    }
}

/// One request and its response, from head to the last frame or the drop of either.
#[derive(Debug)]
pub(super) struct Exchange {
    activity: Arc<Activity>,
    waiting: bool,
}

impl Exchange {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.started.fetch_add(1, Relaxed);
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
