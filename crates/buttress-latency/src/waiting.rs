//! How long a caller waits for a service to be ready, which no timer that starts with the call sees.

use std::num::NonZeroU32;
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

/// What an exchange waits inside its future for services to be ready. Those that wait at the same time
/// wait once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readying {
    /// How many wait, and since when the first of them does.
    open: Option<(NonZeroU32, Instant)>,
    over: Duration,
}

impl Readying {
    /// So many waits have `begun` and `ended` about `now`.
    pub(crate) fn told(&mut self, (begun, ended): (u32, u32), now: Instant) {
        let (waiting, since) = self.open.map_or((0, now), |(n, since)| (n.get(), since));
        // One that ended and never began is somebody else's.
        let waiting = waiting.saturating_add(begun).saturating_sub(ended);
        self.open = NonZeroU32::new(waiting).map(|waiting| (waiting, since));
        if self.open.is_none() {
            self.add(now.saturating_since(since));
        }
    }

    /// Whether there is a wait that nobody has told the end of.
    pub(crate) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// All that was waited up to `now`, and nothing is waited for any more.
    pub(crate) fn take(&mut self, now: Instant) -> Duration {
        if let Some((_, since)) = self.open.take() {
            self.add(now.saturating_since(since));
        }
        std::mem::take(&mut self.over)
    }

    fn add(&mut self, waited: Duration) {
        self.over = self.over.saturating_add(waited);
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

    #[test]
    fn waits_inside_that_overlap_are_one_and_those_that_do_not_add_up() {
        let time = ManualClock::new();
        let mut readying = Readying::default();
        // The second second nobody waits in; what ends at last is somebody else's.
        for told in [(1, 0), (0, 1), (1, 0), (1, 0), (0, 1), (0, 1), (0, 1)] {
            readying.told(told, time.now());
            time.advance(Duration::from_secs(1));
        }
        assert!(!readying.is_open());
        assert_eq!(readying.take(time.now()).as_secs(), 1 + 3);
        readying.told((u32::MAX, 0), time.now());
        readying.told((1, 0), time.now());
        time.advance(Duration::from_secs(1));
        assert!(readying.is_open());
        assert_eq!(readying.take(time.now()).as_secs(), 1);
        assert_eq!(readying.take(time.now()).as_secs(), 0);
    }
}
