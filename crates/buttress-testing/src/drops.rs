//! Dropping a future at every point at which it can be dropped.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// More polls than any future under test needs.
const POLLS: usize = 10_000;

/// Polls `future` at most `polls` times and drops it. Its output, if it completed.
///
/// It is polled without a waker that does anything: a future that waits on something else has to be
/// ready by then, or stays pending.
pub fn drop_after_polls<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// Drops a fresh future unpolled, the next after one poll, the next after two, until one completes.
///
/// After each, `check` is given the number of polls. How many futures were dropped before their
/// end is returned.
///
/// # Panics
///
/// If no future completes within ten thousand polls.
pub fn drop_at_every_poll<F: Future>(
    mut make: impl FnMut() -> F,
    mut check: impl FnMut(usize),
) -> usize {
    for polls in 0..POLLS {
        let completed = drop_after_polls(make(), polls).is_some();
        check(polls);
        if completed {
            return polls;
        }
    }
    panic!("the future did not complete within {POLLS} polls");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    async fn yields(times: usize, ended: &Cell<usize>) {
        struct OnDrop<'a>(&'a Cell<usize>);
        impl Drop for OnDrop<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let _ended = OnDrop(ended);
        for _ in 0..times {
            let mut yielded = false;
            std::future::poll_fn(|_| {
                if std::mem::replace(&mut yielded, true) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    #[test]
    fn every_suspension_point_is_visited_and_the_end_is_reached() {
        let ended = Cell::new(0);
        let mut checked = Vec::new();
        let drops = drop_at_every_poll(|| yields(3, &ended), |polls| checked.push(polls));
        assert_eq!(drops, 4);
        assert_eq!(checked, [0, 1, 2, 3, 4]);
        // The future that was never polled had not begun.
        assert_eq!(ended.get(), 4);
    }

    #[test]
    fn a_future_dropped_in_time_has_no_output() {
        assert_eq!(drop_after_polls(std::future::ready(1), 0), None);
        assert_eq!(drop_after_polls(std::future::ready(1), 1), Some(1));
        assert_eq!(drop_after_polls(std::future::pending::<()>(), 9), None);
    }

    #[test]
    #[should_panic(expected = "did not complete")]
    fn a_future_that_never_ends_is_reported() {
        drop_at_every_poll(std::future::pending::<()>, |_| ());
    }
}
