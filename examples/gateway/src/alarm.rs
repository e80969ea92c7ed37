//! The end of a wait, kept by a timer that its task has anyway.
//!
//! Most exchanges begin and end in the task of their connection, which has one timer for all it waits
//! for. What is polled in such a task tells when it has to be polled again at the latest, and sets no
//! timer of its own. The task's timer fires early rather than late, and only then is anybody's time
//! compared with the clock's.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::body::now;

thread_local! {
    static KEEPER: Keeper = const { Keeper {
        waker: Cell::new(NOBODY),
        fired: Cell::new(false),
        at: Cell::new(None),
        within: Cell::new(None),
    } };
}

/// A task that wakes itself for what is polled in it.
struct Keeper {
    waker: Cell<Identity>,
    /// Its timer has fired since it was polled last.
    fired: Cell<bool>,
    at: Cell<Option<Instant>>,
    within: Cell<Option<Duration>>,
}

/// When what waits in a task has to be polled again, by a call that says that the timer has fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// At this moment at the latest.
    pub(crate) at: Option<Instant>,
    /// Within this time, beginning at the poll.
    pub(crate) within: Option<Duration>,
}

/// Tells one waker from another; never followed.
type Identity = (*const (), usize);

/// No waker's.
const NOBODY: Identity = (std::ptr::null(), 0);

fn identity(waker: &Waker) -> Identity {
    let table: *const _ = waker.vtable();
    (waker.data(), table.addr())
}

/// Polls what waits in the task of `cx`, whose timer has `fired` or not, and gives what it wants.
#[inline]
pub(crate) fn keep<T>(
    cx: &mut Context<'_>,
    fired: bool,
    poll: impl FnOnce(&mut Context<'_>) -> T,
) -> (T, Wanted) {
    let _keeping = Keeping::begin(cx, fired);
    let polled = poll(cx);
    (polled, wanted())
}

/// Whether `deadline` has passed, where the task of `cx` wakes itself for it; `None` where it does
/// not, and the caller has to see to that.
pub(crate) fn poll_until(cx: &Context<'_>, deadline: Instant) -> Option<Poll<()>> {
    poll(cx, |keeper| {
        if keeper.fired.get() && now() >= deadline {
            return Poll::Ready(());
        }
        let at = keeper.at.get();
        keeper
            .at
            .set(Some(at.map_or(deadline, |at| at.min(deadline))));
        Poll::Pending
    })
}

/// The same of a wait for `limit`, by a clock of the caller's that is read only when it has to be:
/// `waited` tells how long the wait is. It has to begin with the first such call.
pub(crate) fn poll_for(
    cx: &Context<'_>,
    limit: Duration,
    waited: impl FnOnce() -> Duration,
) -> Option<Poll<()>> {
    poll(cx, |keeper| {
        let mut left = limit;
        if keeper.fired.get() {
            left = limit.saturating_sub(waited());
            if left.is_zero() {
                return Poll::Ready(());
            }
        }
        let within = keeper.within.get();
        keeper
            .within
            .set(Some(within.map_or(left, |within| within.min(left))));
        Poll::Pending
    })
}

#[inline]
fn poll(cx: &Context<'_>, look: impl FnOnce(&Keeper) -> Poll<()>) -> Option<Poll<()>> {
    // Who waits behind a waker of its own may not be polled when the task is.
    KEEPER.with(|keeper| (keeper.waker.get() == identity(cx.waker())).then(|| look(keeper)))
}

#[inline]
fn wanted() -> Wanted {
    KEEPER.with(|keeper| Wanted {
        at: keeper.at.get(),
        within: keeper.within.get(),
    })
}

/// Puts back what was before, whatever becomes of the poll.
struct Keeping {
    /// The task outside, where one keeps in another.
    outside: Option<Outside>,
}

/// What a task had come to when another began to be polled in it.
struct Outside {
    waker: Identity,
    fired: bool,
    wanted: Wanted,
}

impl Keeping {
    #[inline]
    fn begin(cx: &Context<'_>, fired: bool) -> Self {
        KEEPER.with(|keeper| {
            let waker = keeper.waker.replace(identity(cx.waker()));
            // Mostly nobody, of whom nothing has to be put back.
            let outside = (waker != NOBODY).then(|| keeper.outside(waker));
            keeper.fired.set(fired);
            keeper.at.set(None);
            keeper.within.set(None);
            Self { outside }
        })
    }
}

impl Keeper {
    #[cold]
    fn outside(&self, waker: Identity) -> Outside {
        Outside {
            waker,
            fired: self.fired.get(),
            wanted: Wanted {
                at: self.at.get(),
                within: self.within.get(),
            },
        }
    }

    #[cold]
    fn put_back(&self, outside: &Outside) {
        self.waker.set(outside.waker);
        self.fired.set(outside.fired);
        self.at.set(outside.wanted.at);
        self.within.set(outside.wanted.within);
    }
}

impl Drop for Keeping {
    #[inline]
    fn drop(&mut self) {
        KEEPER.with(|keeper| match &self.outside {
            Some(outside) => keeper.put_back(outside),
            None => keeper.waker.set(NOBODY),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;
    use std::time::Duration;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    fn waker() -> Waker {
        Waker::from(Arc::new(Nobody))
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_earliest_of_all_that_is_waited_for_is_told() {
        let waker = waker();
        let mut cx = Context::from_waker(&waker);
        let soon = now() + SECOND;
        let ((), wanted) = keep(&mut cx, false, |cx| {
            for seconds in [2, 0, 1] {
                let more = SECOND * seconds;
                assert_eq!(poll_until(cx, soon + more), Some(Poll::Pending));
                let waited = || panic!("nothing has fired");
                assert_eq!(poll_for(cx, SECOND + more, waited), Some(Poll::Pending));
            }
        });
        assert_eq!((wanted.at, wanted.within), (Some(soon), Some(SECOND)));
        let ((), wanted) = keep(&mut cx, false, |_| ());
        assert_eq!(wanted, Wanted::default());
    }

    #[test]
    fn a_wait_that_has_ended_is_seen_when_the_timer_has_fired() {
        let waker = waker();
        let mut cx = Context::from_waker(&waker);
        let past = now();
        for (fired, polled) in [(false, Poll::Pending), (true, Poll::Ready(()))] {
            let (seen, _) = keep(&mut cx, fired, |cx| poll_until(cx, past));
            assert_eq!(seen, Some(polled));
            let (seen, _) = keep(&mut cx, fired, |cx| poll_for(cx, SECOND, || SECOND));
            assert_eq!(seen, Some(polled));
        }
        let (_, wanted) = keep(&mut cx, true, |cx| poll_for(cx, SECOND, || SECOND / 4));
        assert_eq!(wanted.within, Some(SECOND * 3 / 4));
    }

    #[test]
    fn nobody_is_relied_on_outside_of_the_task_or_behind_another_waker() {
        let (task, other) = (waker(), waker());
        let mut cx = Context::from_waker(&task);
        let deadline = now();
        assert_eq!(poll_until(&cx, deadline), None);
        let (seen, wanted) = keep(&mut cx, true, |_| {
            poll_until(&Context::from_waker(&other), deadline)
        });
        assert_eq!((seen, wanted), (None, Wanted::default()));
        let unwound = std::panic::catch_unwind(|| {
            keep(&mut Context::from_waker(&waker()), true, |_| {
                panic!("while polled")
            })
        });
        assert!(unwound.is_err());
        assert_eq!(poll_until(&cx, deadline), None);
    }
}
