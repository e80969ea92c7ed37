//! An HTTP exchange judged exactly once, from its head to the end of its body.
//!
//! [`Judge`] is the future that every room puts round the exchange it guards or measures: it tells a
//! [`Settle`] the outcome on every exit there is. The room itself only says what to settle.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::body::{Start, Watch, Watched};
use crate::classify::{ClassifyHttp, Head, Judgement, has_grpc_status};
use crate::outcome::{FailureKind, Outcome};
use crate::settle::{Guard, Settle};

/// The body of a judged response: the service's own, watched to its end.
pub type JudgedBody<B, C, S, E> = Watched<B, Ending<C, S, E>>;

pin_project! {
    /// Judges the exchange that `future` makes and settles it exactly once: at the head, at the end
    /// of the body, on an error, on a panic, or when dropped.
    #[project = JudgeProj]
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct Judge<F, C, S: Settle> {
        #[pin]
        future: F,
        classify: Option<C>,
        guard: Guard<S>,
        method_is_head: bool,
    }
}

impl<F, C, S: Settle> Judge<F, C, S> {
    /// Judges `future` by `classify`, for `settle`. `method_is_head`: the request is a HEAD, whose
    /// response has no body to wait for.
    pub const fn new(future: F, classify: C, settle: S, method_is_head: bool) -> Self {
        Self::guarded(future, classify, Guard::new(settle), method_is_head)
    }

    /// As [`Judge::new`], for an exchange that something guards already: one whose service had to be
    /// made ready first.
    pub const fn guarded(future: F, classify: C, guard: Guard<S>, method_is_head: bool) -> Self {
        Self {
            future,
            classify: Some(classify),
            guard,
            method_is_head,
        }
    }
}

impl<F, C, S, B, E> Future for Judge<F, C, S>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    C: ClassifyHttp<E>,
    S: Settle,
{
    type Output = Result<Response<JudgedBody<B, C, S, E>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        this.guard.enter();
        let polled = this.future.as_mut().poll(cx);
        this.guard.leave();
        // The response is looked at where it lies: it is large, and is moved but once.
        let start = match &polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(response)) => this.at_head(response),
            Poll::Ready(Err(error)) => {
                this.fail(error);
                Start::UNWATCHED
            }
        };
        polled.map_ok(|response| response.map(|body| start.watch(body)))
    }
}

impl<F, C, S: Settle> JudgeProj<'_, F, C, S> {
    /// Judges the head, and says how to go on with the body.
    #[inline]
    fn at_head<B, E>(&mut self, response: &Response<B>) -> Start<Ending<C, S, E>>
    where
        B: Body,
        C: ClassifyHttp<E>,
    {
        let Some(classify) = self.classify.take() else {
            return Start::UNWATCHED;
        };
        let head = Head::of(response);
        let mut guard = self.guard.take();
        guard.enter();
        guard.head(&head);
        let judgement = classify.head(&head);
        if let Judgement::Now(outcome) = judgement {
            ask(&mut guard, &classify, outcome, Some(head.headers));
        }
        guard.leave();
        let (mut decided, mut unsaid) = (None, None);
        match judgement {
            Judgement::Now(outcome) if S::AT_HEAD => {
                guard.settle(outcome);
                return Start::UNWATCHED;
            }
            Judgement::Now(outcome) => {
                guard.presume(outcome);
                decided = Some(outcome);
            }
            Judgement::AtEnd => guard.answered(),
            Judgement::InTrailers(outcome) => {
                guard.answered();
                // A HEAD has no trailers.
                unsaid = (!*self.method_is_head).then_some(outcome);
            }
        }
        let ending = Ending {
            classify,
            guard,
            decided,
            unsaid,
            // A gRPC status comes after the body, and is worth waiting for beyond its length.
            trailers_matter: head.grpc || head.trailers,
            error: PhantomData,
        };
        Start::of(response.body(), ending, *self.method_is_head, head.status)
    }

    #[cold]
    fn fail<E>(&mut self, error: &E)
    where
        C: ClassifyHttp<E>,
    {
        let Some(classify) = self.classify.take() else {
            return;
        };
        let mut guard = self.guard.take();
        guard.enter();
        let outcome = classify.error(error);
        guard.leave();
        guard.settle(outcome);
    }
}

/// Passes on for how long a failing upstream asks to be left alone.
#[inline]
fn ask<C, S, E>(guard: &mut Guard<S>, classify: &C, outcome: Outcome, told: Option<&HeaderMap>)
where
    C: ClassifyHttp<E>,
    S: Settle,
{
    if outcome.is_failure()
        && let Some(wait) = told.and_then(|headers| classify.wait(headers))
    {
        guard.asked(wait);
    }
}

/// Waits at the end of a body to settle its exchange.
#[derive(Debug)]
pub struct Ending<C, S: Settle, E> {
    classify: C,
    guard: Guard<S>,
    /// What the head decided, where that is told at the end.
    decided: Option<Outcome>,
    /// What an end without a `grpc-status` is, where one has to be.
    unsaid: Option<Outcome>,
    trailers_matter: bool,
    error: PhantomData<fn(&E)>,
}

impl<C: ClassifyHttp<E>, S: Settle, E> Ending<C, S, E> {
    /// What the end is; `unsaid` if it has to have a `grpc-status` and has none.
    fn outcome(&mut self, trailers: Option<&HeaderMap>, unsaid: Option<Outcome>) -> Outcome {
        if let Some(decided) = self.decided {
            return decided;
        }
        self.guard.enter();
        let unsaid = unsaid.filter(|_| !trailers.is_some_and(has_grpc_status));
        let outcome = unsaid.unwrap_or_else(|| self.classify.end(trailers));
        ask(&mut self.guard, &self.classify, outcome, trailers);
        self.guard.leave();
        outcome
    }
}

impl<C: ClassifyHttp<E>, S: Settle, E> Watch for Ending<C, S, E> {
    fn complete(&mut self, trailers: Option<&HeaderMap>) {
        let outcome = self.outcome(trailers, self.unsaid);
        self.guard.settle(outcome);
    }

    fn delivered(&mut self) -> bool {
        let outcome = self.outcome(None, None);
        if self.trailers_matter {
            // Not every server asks for them; a drop is as good an end as any now.
            self.guard.presume(outcome);
        } else {
            self.guard.settle(outcome);
        }
        !self.trailers_matter
    }

    fn broken(&mut self) {
        let outcome = self.decided.unwrap_or(Outcome::Failure(FailureKind::Body));
        self.guard.settle(outcome);
    }

    fn data(&mut self, bytes: u64) {
        self.guard.data(bytes);
    }

    fn enter(&mut self) {
        self.guard.enter();
    }

    fn leave(&mut self) {
        self.guard.leave();
    }
}
