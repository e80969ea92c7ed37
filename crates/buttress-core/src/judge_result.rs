//! A call to any service judged exactly once: what [`crate::settle`] is for, as a future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::protocol::ClassifyResult;
use crate::settle::{Guard, Settle};

pin_project! {
    /// Judges the call that `future` makes and settles it exactly once: by its result, on a panic,
    /// or when dropped.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct JudgeResult<F, C, S: Settle> {
        #[pin]
        future: F,
        classify: C,
        guard: Guard<S>,
    }
}

impl<F, C, S: Settle> JudgeResult<F, C, S> {
    /// Judges `future` by `classify`; `guard` has watched the call since before `future` was made.
    pub const fn new(future: F, classify: C, guard: Guard<S>) -> Self {
        Self {
            future,
            classify,
            guard,
        }
    }
}

impl<F, C, S, T, E> Future for JudgeResult<F, C, S>
where
    F: Future<Output = Result<T, E>>,
    C: ClassifyResult<T, E>,
    S: Settle,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let before = Guard::<S>::waits();
        this.guard.enter();
        let polled = this.future.poll(cx);
        this.guard.leave();
        this.guard.tell_waits(before);
        let result = ready!(polled);
        // Settled where it lies: it is large, and if the classifier panics it is dropped with the rest.
        let guard = this.guard;
        if guard.is_open() {
            guard.enter();
            let outcome = this.classify.classify(result.as_ref());
            let asked = if outcome.is_failure() {
                this.classify.wait(result.as_ref())
            } else {
                None
            };
            guard.leave();
            if let Some(wait) = asked {
                guard.asked(wait);
            }
            guard.settle(outcome);
        }
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{FailureKind, Outcome};
    use crate::protocol::OkOrErr;
    use crate::settle::tests::Log;
    use std::sync::Mutex;
    use tokio_test::{assert_pending, assert_ready_err, task};

    #[test]
    fn a_call_is_settled_by_what_it_returned() {
        let log = Mutex::new(Vec::new());
        let failing = std::future::ready(Err::<(), _>("broken"));
        let mut judged = task::spawn(JudgeResult::new(failing, OkOrErr, Guard::new(Log(&log))));
        assert_ready_err!(judged.poll());
        drop(judged);
        let expected = Outcome::Failure(FailureKind::Answer);
        assert_eq!(*log.lock().unwrap(), [expected]);
    }

    #[test]
    fn a_call_that_is_dropped_is_abandoned() {
        let log = Mutex::new(Vec::new());
        let hanging = std::future::pending::<Result<(), ()>>();
        let mut judged = task::spawn(JudgeResult::new(hanging, OkOrErr, Guard::new(Log(&log))));
        assert_pending!(judged.poll());
        drop(judged);
        assert_eq!(*log.lock().unwrap(), [Outcome::Abandoned]);
    }

    #[test]
    fn a_call_whose_classifier_panics_is_a_panic() {
        let log = Mutex::new(Vec::new());
        let classify = |_: Result<&(), &()>| -> Outcome { panic!("in the classifier") };
        let answered = std::future::ready(Ok(()));
        let judged = JudgeResult::new(answered, classify, Guard::new(Log(&log)));
        let poll = || task::spawn(judged).poll().is_ready();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).is_err());
        assert_eq!(*log.lock().unwrap(), [Outcome::Failure(FailureKind::Panic)]);
    }
}
