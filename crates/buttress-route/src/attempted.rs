//! Where a request has been sent already, and how whoever sends it again gets to know.
//!
//! The endpoint is picked inside the call, and neither an error nor a response says which it was without a
//! price that every request would pay. So it is told by the thread, as waits are
//! ([`buttress_core::readying`]): the router leaves word, and whoever called or polled it looks. It ends at
//! a task's border: through a buffer nothing is told, and the same endpoint may be tried twice.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Request;

/// Endpoints that a request has been sent to; in its extensions when it is sent again. A router sends it to
/// none of them while it has another, and refuses it where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempted {
    list: [u32; MOST],
    len: usize,
}

/// As many are remembered as there can be attempts.
pub(crate) const MOST: usize = 8;

/// A number that no other endpoint of the process has, unless it has had four billion. From 1 up.
pub(crate) fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Attempted {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn add(&mut self, endpoint: u32) {
        if let Some(place) = self.list.get_mut(self.len) {
            *place = endpoint;
            self.len += 1;
        }
    }

    pub(crate) fn holds(&self, endpoint: u32) -> bool {
        self.list.iter().take(self.len).any(|it| *it == endpoint)
    }
}

/// Where `request` has been sent already; `None` of one that is sent for the first time.
#[inline]
pub(crate) fn of<B>(request: &Request<B>) -> Option<&Attempted> {
    let extensions = request.extensions();
    if extensions.is_empty() {
        return None;
    }
    extensions.get()
}

/// What routers have told on this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The number of the endpoint that a request was sent to last; 0 if none was.
    pub(crate) endpoint: u32,
    /// An endpoint that failed to become ready was not called.
    pub(crate) unsent: bool,
}

thread_local! {
    static TOLD: Cell<Told> = const { Cell::new(Told { endpoint: 0, unsent: false }) };
}

/// A request went to this endpoint.
#[inline]
pub(crate) fn tell_picked(endpoint: u32) {
    TOLD.set(Told {
        endpoint,
        unsent: false,
    });
}

/// A request was not sent, and its error says nothing of that.
#[cold]
pub(crate) fn tell_unsent() {
    TOLD.set(Told {
        unsent: true,
        ..TOLD.get()
    });
}

/// What has been told since this was last asked.
pub(crate) fn told() -> Told {
    TOLD.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_endpoints_are_remembered_as_there_can_be_attempts() {
        let mut attempted = Attempted::default();
        assert!(attempted.is_empty() && !attempted.holds(0));
        (1..=20).for_each(|endpoint| attempted.add(endpoint));
        assert_eq!(attempted.len(), MOST);
        assert!((1..=8).all(|endpoint| attempted.holds(endpoint)));
        assert!(!attempted.holds(9));
    }

    #[test]
    fn what_is_told_is_told_once() {
        tell_picked(7);
        tell_unsent();
        let expected = Told {
            endpoint: 7,
            unsent: true,
        };
        assert_eq!((told(), told()), (expected, Told::default()));
    }
}
