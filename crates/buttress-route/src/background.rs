//! What runs beside requests for a pool: it ends with the pool, and a panic ends nothing.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::watch;

/// Somebody else's code panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs `future` to its end, or to its panic.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Panicked)),
        },
    )
    .await
}

/// Told to whoever works for a pool when that is to end: the pool is gone, or somebody else has taken
/// the work over.
#[derive(Debug, Default)]
pub(crate) struct Post(watch::Sender<u64>);

/// One holder of a [`Post`]'s work.
#[derive(Debug)]
pub(crate) struct Term {
    changes: watch::Receiver<u64>,
    number: u64,
}

impl Post {
    /// Begins a term, which ends the one before.
    pub(crate) fn begin(&self) -> Term {
        let mut number = 0;
        self.0.send_modify(|current| {
            *current = current.wrapping_add(1);
            number = *current;
        });
        let changes = self.0.subscribe();
        Term { changes, number }
    }

    /// Ends the term that runs.
    pub(crate) fn end(&self) {
        self.0
            .send_modify(|current| *current = current.wrapping_add(1));
    }
}

impl Term {
    /// Later terms have larger numbers.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Does `work` unless the term ends before; `None` if it has.
    pub(crate) async fn during<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let number = self.number;
        let (mut over, mut work) = (
            pin!(self.changes.wait_for(|now| *now != number)),
            pin!(work),
        );
        poll_fn(|cx| {
            // Over as well if the sender is gone.
            if over.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[test]
    fn a_term_ends_with_the_next_one_and_with_the_pool() {
        let post = Post::default();
        let (mut first, mut second);
        first = post.begin();
        let mut waiting = task::spawn(first.during(pending::<()>()));
        assert_pending!(waiting.poll());
        second = post.begin();
        assert!(waiting.is_woken());
        assert_eq!(assert_ready!(waiting.poll()), None);
        assert_eq!(
            assert_ready!(task::spawn(second.during(ready(7))).poll()),
            Some(7)
        );
        let mut waiting = task::spawn(second.during(pending::<()>()));
        assert_pending!(waiting.poll());
        drop(post);
        assert!(waiting.is_woken());
        assert_eq!(assert_ready!(waiting.poll()), None);
    }

    #[test]
    fn a_panic_is_told_to_whoever_waits() {
        let panics = async { panic!("in somebody else's code") };
        let panics: Result<(), Panicked> = assert_ready!(task::spawn(caught(panics)).poll());
        assert_eq!(panics, Err(Panicked));
    }
}
