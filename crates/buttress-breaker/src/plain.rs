//! Services of any kind: a rejection is an error.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use buttress_core::BoxError;
use buttress_core::clock::Instant;
use buttress_core::judge_result::JudgeResult;
use buttress_core::protocol::{ClassifyResult, Plain};
use buttress_core::reject::Rejected;
use buttress_core::settle::Guard;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::gate::Way;
use crate::inner::Inner;
use crate::permit::Permit;
use crate::readying::{Readied, Readying};
use crate::refusal::Refusal;
use crate::service::{BreakerService, Guarding};

/// The error of a guarded service of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerError<E> {
    /// The breaker rejected the call.
    Rejected(Rejected),
    /// The inner service failed, with its own error.
    Inner(E),
}

impl<E> BreakerError<E> {
    /// The rejection, if it is one.
    pub const fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Inner(_) => None,
        }
    }

    /// The inner service's own error, if it is one.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Rejected(_) => None,
            Self::Inner(error) => Some(error),
        }
    }

    /// The rejection or the inner error by itself, as an error of any type.
    ///
    /// For stacks whose errors are boxed already: a boxed error is no `Error`, so neither is this one
    /// around it. `service.map_err(BreakerError::into_boxed)` lets tower's own layers go outside.
    pub fn into_boxed(self) -> BoxError
    where
        E: Into<BoxError>,
    {
        match self {
            Self::Rejected(rejected) => rejected.into(),
            Self::Inner(error) => error.into(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for BreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(_) => f.write_str("the breaker rejected the call"),
            Self::Inner(_) => f.write_str("the guarded service failed"),
        }
    }
}

impl<E: Error + 'static> Error for BreakerError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Inner(error) => Some(error),
        }
    }
}

impl<S, C, R> Service<R> for BreakerService<S, Plain, C>
where
    S: Service<R> + Clone,
    C: ClassifyResult<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = BreakerError<S::Error>;
    type Future = ResponseFuture<S, R, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_inner_ready(cx).map_err(BreakerError::Inner)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        match self.breaker.way() {
            Way::Free(generation) => self.start(self.breaker.pass(generation), request),
            Way::Timed => self.begin(request),
            Way::Blocked => self.ask(request),
        }
    }
}

/// One way after the other: where they meet, what they have made is moved.
impl<S, C> BreakerService<S, Plain, C> {
    /// A call whose time is taken.
    #[inline(never)]
    fn begin<R>(&mut self, request: R) -> ResponseFuture<S, R, C>
    where
        S: Service<R> + Clone,
        C: ClassifyResult<S::Response, S::Error> + Clone,
    {
        match self.breaker.pass_timed() {
            Some(permit) => self.start(permit, request),
            None => self.ask_at(self.breaker.now(), request),
        }
    }

    /// A call of a circuit that is not closed.
    #[inline]
    fn ask<R>(&mut self, request: R) -> ResponseFuture<S, R, C>
    where
        S: Service<R> + Clone,
        C: ClassifyResult<S::Response, S::Error> + Clone,
    {
        let now = self.breaker.now();
        match self.breaker.refuse_at(now) {
            Some(refusal) => self.refuse(refusal),
            None => self.ask_at(now, request),
        }
    }

    /// A call that the machine has to be asked for.
    #[cold]
    fn ask_at<R>(&mut self, now: Instant, request: R) -> ResponseFuture<S, R, C>
    where
        S: Service<R> + Clone,
        C: ClassifyResult<S::Response, S::Error> + Clone,
    {
        match self.breaker.ask(now) {
            Ok(permit) => self.start(permit, request),
            Err(refusal) => self.refuse(refusal),
        }
    }

    #[inline]
    fn refuse<R>(&mut self, refusal: Refusal) -> ResponseFuture<S, R, C>
    where
        S: Service<R> + Clone,
    {
        self.inner.let_go();
        ResponseFuture::rejected(refusal)
    }
}

impl<S, C, R> Guarding<R> for BreakerService<S, Plain, C>
where
    S: Service<R> + Clone,
    C: ClassifyResult<S::Response, S::Error> + Clone,
{
    #[inline]
    fn admit(&mut self, _: &R) -> Result<Permit, Rejected> {
        self.acquire().map_err(Rejected::from)
    }

    #[inline]
    fn start(&mut self, permit: Permit, request: R) -> Self::Future {
        ResponseFuture::start(&mut self.inner, permit, self.classify.clone(), request)
    }
}

pin_project! {
    /// The future of a guarded service of any kind.
    #[must_use = "a future does nothing until it is polled"]
    pub struct ResponseFuture<S, R, C>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, C>
    where
        S: Service<R>,
    {
        Rejected { refusal: Option<Refusal> },
        Readying { readying: Readying<S, R>, classify: Option<C> },
        Calling { #[pin] judged: JudgeResult<S::Future, C, Permit> },
    }
}

impl<S: Service<R>, R, C> ResponseFuture<S, R, C> {
    pub(crate) const fn rejected(refusal: Refusal) -> Self {
        Self {
            state: State::Rejected {
                refusal: Some(refusal),
            },
        }
    }

    /// Calls `inner`, or readies it first where it is not.
    #[inline]
    pub(crate) fn start(inner: &mut Inner<S>, permit: Permit, classify: C, request: R) -> Self
    where
        S: Clone,
    {
        if !inner.take_readiness() {
            return Self::readying(Readying::new(inner.take(), request, permit), classify);
        }
        let mut guard = Guard::new(permit);
        guard.enter();
        let future = inner.service.call(request);
        guard.leave();
        Self::calling(future, classify, guard)
    }

    const fn readying(readying: Readying<S, R>, classify: C) -> Self {
        Self {
            state: State::Readying {
                readying,
                classify: Some(classify),
            },
        }
    }

    const fn calling(future: S::Future, classify: C, guard: Guard<Permit>) -> Self {
        Self {
            state: State::Calling {
                judged: JudgeResult::new(future, classify, guard),
            },
        }
    }
}

impl<S, R, C> Future for ResponseFuture<S, R, C>
where
    S: Service<R>,
    C: ClassifyResult<S::Response, S::Error>,
{
    type Output = Result<S::Response, BreakerError<S::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Rejected { refusal } => {
                    return refusal.take().map_or(Poll::Pending, |refusal| {
                        Poll::Ready(Err(BreakerError::Rejected(refusal.into())))
                    });
                }
                StateProj::Calling { judged } => {
                    return judged.poll(cx).map_err(BreakerError::Inner);
                }
                StateProj::Readying { .. } => {
                    if let Err(error) = ready!(state.as_mut().poll_ready(cx)) {
                        return Poll::Ready(Err(BreakerError::Inner(error)));
                    }
                }
            }
        }
    }
}

impl<S, R, C> State<S, R, C>
where
    S: Service<R>,
    C: ClassifyResult<S::Response, S::Error>,
{
    /// Goes on from readying, apart from what a call does that need not wait, and without its answer: where ways
    /// meet, what they have made is moved.
    #[cold]
    #[inline(never)]
    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let StateProj::Readying { readying, classify } = self.as_mut().project() else {
            return Poll::Ready(Ok(()));
        };
        let (Some(readied), Some(classify)) = (ready!(readying.poll_call(cx)), classify.take())
        else {
            return Poll::Pending;
        };
        match readied {
            Readied::Called(future, guard) => self.set(Self::Calling {
                judged: JudgeResult::new(future, classify, guard),
            }),
            Readied::Late(refusal) => self.set(Self::Rejected {
                refusal: Some(refusal),
            }),
            Readied::Failed(error, mut guard) => {
                guard.settle(classify.classify(Err(&error)));
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Service<R>, R, C> fmt::Debug for ResponseFuture<S, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
