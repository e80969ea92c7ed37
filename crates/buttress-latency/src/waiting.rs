//! How long a caller waits for a service to be ready, which no timer that starts with the call sees.

use std::task::Poll;
use std::time::Duration;

use buttress_core::clock::{Clock, Instant};

/// The wait for the next call of one service. A clone waits for itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Wait {
    /// The service was ready whenever it was asked.
    #[default]
    None,
    /// It has not been ready since.
    Since(Instant),
    /// It is ready; this is what it took.
    Over(Duration),
}

impl Wait {
    /// The service was asked whether it is ready, and said `polled`. Without a clock nobody wants to
    /// know.
    #[inline]
    pub(crate) fn polled<'a, E>(
        &mut self,
        polled: &Poll<Result<(), E>>,
        clock: impl FnOnce() -> Option<&'a Clock>,
    ) {
        if let (Self::None, Poll::Ready(Ok(()))) = (&*self, polled) {
            return;
        }
        *self = match (*self, polled) {
            (Self::None | Self::Over(_), Poll::Ready(Ok(()))) | (Self::Since(_), Poll::Pending) => {
                return;
            }
            // A readiness that nobody used has lapsed, and what it took with it.
            (Self::None | Self::Over(_), Poll::Pending) => begin(clock()),
            (Self::Since(since), Poll::Ready(Ok(()))) => end(since, clock()),
            (_, Poll::Ready(Err(_))) => Self::None,
        }
    }

    /// The service is called: what its caller has waited.
    #[inline]
    pub(crate) fn take(&mut self) -> Duration {
        match std::mem::take(self) {
            Self::Over(waited) => waited,
            Self::None | Self::Since(_) => Duration::ZERO,
        }
    }
}

#[cold]
fn begin(clock: Option<&Clock>) -> Wait {
    clock.map_or(Wait::None, |clock| Wait::Since(clock.now()))
}

#[cold]
fn end(since: Instant, clock: Option<&Clock>) -> Wait {
    clock.map_or(Wait::None, |clock| {
        Wait::Over(clock.now().saturating_since(since))
    })
}

#[cfg(test)]
mod tests {
    use buttress_core::clock::ManualClock;

    use super::*;

    const PENDING: Poll<Result<(), ()>> = Poll::Pending;
    const READY: Poll<Result<(), ()>> = Poll::Ready(Ok(()));
    const FAILED: Poll<Result<(), ()>> = Poll::Ready(Err(()));

    /// What a call counts as waited after these answers, a second between each.
    fn waited(answers: &[Poll<Result<(), ()>>]) -> u64 {
        let time = ManualClock::new();
        let clock = time.clock();
        let mut wait = Wait::default();
        for answer in answers {
            wait.polled(answer, || Some(&clock));
            time.advance(Duration::from_secs(1));
        }
        wait.take().as_secs()
    }

    #[test]
    fn a_wait_is_from_the_first_pending_to_ready() {
        assert_eq!(waited(&[READY]), 0);
        assert_eq!(waited(&[READY, READY]), 0);
        assert_eq!(waited(&[PENDING, READY]), 1);
        assert_eq!(waited(&[PENDING, PENDING, PENDING, READY]), 3);
        assert_eq!(
            waited(&[PENDING, READY, READY, READY]),
            1,
            "then it is ready"
        );
    }

    #[test]
    fn a_wait_that_comes_to_nothing_is_not_that_of_the_next_call() {
        assert_eq!(waited(&[PENDING, FAILED, READY]), 0);
        assert_eq!(waited(&[PENDING, PENDING, READY, PENDING, READY]), 1);
        assert_eq!(waited(&[PENDING]), 0, "called without being ready");
        let mut wait = Wait::Over(Duration::from_secs(1));
        assert_eq!((wait.take().as_secs(), wait.take().as_secs()), (1, 0));
    }
}
