//! A wait beside busy work in one task, polled only when there is something to learn.
//!
//! A connection's task is woken for every read and write. To poll a timer and a channel each time
//! takes their locks, and tells nothing: whoever waits there is registered already.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tokio::task::coop;

pin_project! {
    /// A future of tokio's that remembers whom it will wake.
    pub(super) struct Registered<F> {
        #[pin]
        future: F,
        waker: Option<Waker>,
    }
}

impl<F> Registered<F> {
    pub(super) const fn new(future: F) -> Self {
        Self {
            future,
            waker: None,
        }
    }

    pub(super) const fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future, about to be changed: it is polled again before it is relied on.
    pub(super) fn renewed(self: Pin<&mut Self>) -> Pin<&mut F> {
        let this = self.project();
        *this.waker = None;
        this.future
    }
}

impl<F: Future> Registered<F> {
    /// Polls, unless the task that asks will be woken anyway and nothing has `happened`.
    pub(super) fn poll_if(
        self: Pin<&mut Self>,
        happened: bool,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        let this = self.project();
        let registered = this.waker.as_ref();
        if !happened && registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        // Without budget tokio's futures register nobody, they only have the task polled again.
        let is_told = coop::has_budget_remaining();
        let polled = this.future.poll(cx);
        *this.waker = is_told.then(|| cx.waker().clone());
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::Wake;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn it_is_polled_when_something_happened_or_somebody_else_asks() {
        let polls = AtomicU32::new(0);
        let counted = poll_fn(|_| {
            polls.fetch_add(1, Relaxed);
            Poll::<()>::Pending
        });
        let mut wait = pin!(Registered::new(counted));
        let mut polls_after = |happened, waker: &Waker| {
            let mut cx = Context::from_waker(waker);
            assert!(wait.as_mut().poll_if(happened, &mut cx).is_pending());
            polls.load(Relaxed)
        };
        let (one, other) = (Waker::from(Arc::new(Nobody)), Waker::from(Arc::new(Nobody)));
        assert_eq!(polls_after(false, &one), 1);
        assert_eq!(polls_after(false, &one), 1);
        assert_eq!(polls_after(true, &one), 2);
        assert_eq!(polls_after(false, &other), 3);
        assert_eq!(polls_after(false, &other), 3);
    }

    #[tokio::test]
    async fn a_poll_without_budget_is_not_relied_on() {
        let mut wait = pin!(Registered::new(std::future::pending::<()>()));
        let waker = poll_fn(|cx| {
            let mut budget = Vec::new();
            while coop::has_budget_remaining() {
                budget.push(coop::poll_proceed(cx).map(|left| left.made_progress()));
            }
            assert!(wait.as_mut().poll_if(false, cx).is_pending());
            Poll::Ready(wait.waker.clone())
        });
        assert!(waker.await.is_none());
    }
}
