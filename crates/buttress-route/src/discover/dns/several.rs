//! Waiting for several things at once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// What `work` comes to, unless `end` comes before.
pub(super) async fn in_time<F: Future>(work: F, end: impl Future) -> Option<F::Output> {
    let (mut work, mut end) = (pin!(work), pin!(end));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => end.as_mut().poll(cx).map(|_| None),
    })
    .await
}

/// What each of `all` comes to, in their order. No more than `at_once` of them are under way at a time.
pub(super) async fn each<F: Future>(
    all: impl Iterator<Item = F>,
    at_once: usize,
) -> Vec<F::Output> {
    let (mut waiting, mut done) = (all.enumerate(), Vec::new());
    let mut under_way: Vec<(usize, Pin<Box<F>>)> = Vec::with_capacity(at_once);
    poll_fn(|cx| {
        loop {
            let free = at_once.max(1) - under_way.len();
            let next = waiting.by_ref().take(free);
            under_way.extend(next.map(|(place, future)| (place, Box::pin(future))));
            if under_way.is_empty() {
                return Poll::Ready(());
            }
            let before = done.len();
            under_way.retain_mut(|one| !has_ended(one, &mut done, cx));
            if done.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, output)| output).collect()
}

fn has_ended<F: Future>(
    (place, future): &mut (usize, Pin<Box<F>>),
    done: &mut Vec<(usize, F::Output)>,
    cx: &mut Context<'_>,
) -> bool {
    let Poll::Ready(output) = future.as_mut().poll(cx) else {
        return false;
    };
    done.push((*place, output));
    true
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use tokio_test::{assert_pending, assert_ready, assert_ready_eq, task};

    use super::*;

    #[test]
    fn whatever_ends_first_decides() {
        assert_ready_eq!(task::spawn(in_time(ready(1), ready(()))).poll(), Some(1));
        assert_ready_eq!(
            task::spawn(in_time(pending::<()>(), ready(()))).poll(),
            None
        );
        assert_pending!(task::spawn(in_time(pending::<()>(), pending::<()>())).poll());
    }

    #[test]
    fn no_more_than_may_are_under_way_and_all_come_in_their_order() {
        let (begun, most) = (Cell::new(0_usize), Cell::new(0));
        let one = |place: usize| {
            let (begun, most) = (&begun, &most);
            async move {
                begun.set(begun.get() + 1);
                most.set(begun.get().max(most.get()));
                // The earlier ones take longer.
                for _ in place..10 {
                    tokio::task::yield_now().await;
                }
                begun.set(begun.get() - 1);
                place
            }
        };
        let mut all = task::spawn(each((0..10).map(one), 3));
        let places = loop {
            if let Poll::Ready(places) = all.poll() {
                break places;
            }
        };
        assert_eq!(places, (0..10).collect::<Vec<_>>());
        assert_eq!(most.get(), 3);
        let none = each(std::iter::empty::<std::future::Ready<()>>(), 3);
        assert!(assert_ready!(task::spawn(none).poll()).is_empty());
    }
}
