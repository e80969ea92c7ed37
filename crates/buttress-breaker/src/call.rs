//! A call of what is no service: an async function behind a breaker.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::judge_result::JudgeResult;
use buttress_core::protocol::{ClassifyResult, OkOrErr};
use buttress_core::reject::Rejected;
use buttress_core::settle::Guard;
use pin_project_lite::pin_project;

use crate::breaker::Breaker;
use crate::permit::Permit;
use crate::plain::BreakerError;

impl Breaker {
    /// Calls `f` if the breaker admits it, and takes its result for the outcome as
    /// [`OkOrErr`] does: an `Err` is a failure.
    ///
    /// The breaker is asked at once, not when the future is first polled, and `f` is not called if it
    /// rejects. A future that is dropped abandons its call; a panic in `f` or in its future is a failure
    /// and passes on. Nothing is allocated.
    ///
    /// ```
    /// use buttress_breaker::{Breaker, BreakerError, Config, Rule};
    ///
    /// # async fn query() -> Result<u32, &'static str> { Err("down") }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rules = [Rule::ConsecutiveFailures(1)];
    /// let breaker = Breaker::new("database", Config::default().rules(rules))?;
    /// assert_eq!(breaker.call(query).await, Err(BreakerError::Inner("down")));
    /// assert!(breaker.call(query).await.unwrap_err().rejected().is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<F, Fut, T, E>(&self, f: F) -> Call<Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: 'static,
    {
        self.call_classified(OkOrErr, f)
    }

    /// [`Breaker::call`] with `classify` to decide the outcome, such as a closure: what the guarded says
    /// of a bad question is an `Err` to the caller and no failure of its own.
    pub fn call_classified<C, F, Fut, T, E>(&self, classify: C, f: F) -> Call<Fut, C>
    where
        C: ClassifyResult<T, E>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let state = match self.try_acquire() {
            Ok(permit) => {
                let mut guard = Guard::new(permit);
                guard.enter();
                let future = f();
                guard.leave();
                State::Calling {
                    judged: JudgeResult::new(future, classify, guard),
                }
            }
            Err(rejected) => State::Rejected {
                rejected: Some(rejected),
            },
        };
        Call { state }
    }
}

pin_project! {
    /// The future of [`Breaker::call`].
    #[must_use = "dropping a call abandons it"]
    pub struct Call<F, C = OkOrErr> {
        #[pin]
        state: State<F, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C> {
        Rejected { rejected: Option<Rejected> },
        Calling { #[pin] judged: JudgeResult<F, C, Permit> },
    }
}

impl<F, C, T, E> Future for Call<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: ClassifyResult<T, E>,
{
    type Output = Result<T, BreakerError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Calling { judged } => judged.poll(cx).map_err(BreakerError::Inner),
            StateProj::Rejected { rejected } => rejected.take().map_or(Poll::Pending, |rejected| {
                Poll::Ready(Err(BreakerError::Rejected(rejected)))
            }),
        }
    }
}

impl<F, C> fmt::Debug for Call<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
