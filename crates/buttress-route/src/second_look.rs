//! Who is in and takes no traffic for what it showed a while ago, and when a copy should go there.
//!
//! Where nobody is sent nothing new is shown: an endpoint that was slow would be thought slow until the
//! evidence has faded, long after it has recovered. A copy that nobody waits for may go and look.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use buttress_core::clock::Instant;

use crate::slot::Slot;
use crate::sync::{AtomicU64, Mutex};

/// The endpoint of a pool that is due a second look first. The lock is taken for that alone.
#[derive(Debug)]
pub(crate) struct SecondLooks {
    /// For picks to read.
    due: AtomicU64,
    who: Mutex<Weak<Slot>>,
}

impl SecondLooks {
    pub(crate) fn new() -> Self {
        Self {
            due: AtomicU64::new(Instant::NEVER.as_nanos()),
            who: Mutex::new(Weak::new()),
        }
    }

    /// Whether somebody is due at `now`.
    #[inline]
    pub(crate) fn has_due(&self, now: Instant) -> bool {
        now.as_nanos() >= self.due.load(Ordering::Relaxed)
    }

    /// `slot` is due then. Whoever is due sooner goes first, and this one asks again.
    pub(crate) fn ask(&self, slot: &Arc<Slot>, due: Instant) {
        if due.as_nanos() < self.due.load(Ordering::Relaxed) {
            let mut who = self.who.lock().unwrap_or_else(PoisonError::into_inner);
            *who = Arc::downgrade(slot);
            self.due.store(due.as_nanos(), Ordering::Relaxed);
        }
    }

    /// Whoever is due, if it is still there.
    pub(crate) fn take(&self, now: Instant) -> Option<Arc<Slot>> {
        let mut who = self.who.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.has_due(now) {
            return None;
        }
        (self.due).store(Instant::NEVER.as_nanos(), Ordering::Relaxed);
        std::mem::take(&mut *who).upgrade()
    }
}
