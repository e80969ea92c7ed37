//! Tokio's time, read about once a millisecond.
//!
//! Each connection begins to wait for its next request as it has answered one. That wait is of seconds, and to
//! read the system's clock for it is dear beside what else is done with a small request; the layers' clock has
//! been read in the same poll already.

use std::cell::Cell;
use std::time::Duration;

use buttress::core::clock::{self, Clock};
use tokio::time::Instant;

use crate::body::now;

/// How old what is told may be.
const AGE: Duration = Duration::from_millis(1);

static CLOCK: Clock = Clock::by_moments();

thread_local! {
    static READ: Cell<Option<Read>> = const { Cell::new(None) };
}

/// What tokio's clock said, and the layers' as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Read {
    said: Instant,
    at: clock::Instant,
}

impl Read {
    /// `last`, unless it is too old by `at`; then `read` is asked.
    fn or_anew(last: Option<Self>, at: clock::Instant, read: impl FnOnce() -> Instant) -> Self {
        last.filter(|last| at.saturating_since(last.at) < AGE)
            .unwrap_or_else(|| Self { said: read(), at })
    }
}

/// Tokio's time now, or as it was up to [`AGE`] ago.
pub(super) fn recent() -> Instant {
    let read = Read::or_anew(READ.get(), CLOCK.now(), now);
    READ.set(Some(read));
    read.said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_read_anew_when_what_it_said_is_too_old() {
        let (start, begun) = (now(), clock::Instant::ORIGIN);
        let later = start + Duration::from_secs(1);
        let first = Read::or_anew(None, begun, || start);
        let soon = begun.saturating_add(AGE / 2);
        let again = Read::or_anew(Some(first), soon, || panic!("it is read"));
        assert_eq!(again.said, start);
        let late = begun.saturating_add(AGE);
        let third = Read::or_anew(Some(again), late, || later);
        assert_eq!((third.said, third.at), (later, late));
    }
}
