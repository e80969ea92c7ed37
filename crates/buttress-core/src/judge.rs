//! An HTTP exchange judged exactly once, from its head to the end of its body.
//!
//! [`Judge`] is the future that every room puts round the exchange it guards or measures: it tells a
//! [`Settle`] the outcome on every exit there is. The room itself only says what to settle.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::TRAILER;
use http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::body::{Start, Watch, Watched};
use crate::classify::{ClassifyHttp, Head, Judgement};
use crate::outcome::{FailureKind, Outcome};
use crate::settle::{Guard, Settle};

/// The body of a judged response: the service's own, watched to its end.
pub type JudgedBody<B, C, S, E> = Watched<B, Ending<C, S, E>>;

pin_project! {
    /// Judges the exchange that `future` makes and settles it exactly once: at the head, at the end
    /// of the body, on an error, on a panic, or when dropped.
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
        let this = self.project();
        this.guard.enter();
        let polled = this.future.poll(cx);
        this.guard.leave();
        let result = ready!(polled);
        let mut guard = this.guard.take();
        let Some(classify) = this.classify.take() else {
            return Poll::Ready(result.map(|response| response.map(Watched::unwatched)));
        };
        Poll::Ready(match result {
            Ok(response) => {
                // All of this looks at the response in its place: it is large, and is moved once.
                let ending = at_head(&response, classify, guard);
                let start = Start::of(
                    response.body(),
                    ending,
                    *this.method_is_head,
                    response.status(),
                );
                Ok(response.map(|body| start.watch(body)))
            }
            Err(error) => {
                guard.enter();
                let outcome = classify.error(&error);
                guard.leave();
                guard.settle(outcome);
                Err(error)
            }
        })
    }
}

/// What waits for the end of the body, unless the head has settled the exchange.
#[inline]
fn at_head<B, C, S, E>(
    response: &Response<B>,
    classify: C,
    mut guard: Guard<S>,
) -> Option<Ending<C, S, E>>
where
    C: ClassifyHttp<E>,
    S: Settle,
{
    let head = Head::of(response);
    guard.enter();
    guard.head(&head);
    let judgement = classify.head(&head);
    guard.leave();
    let decided = match judgement {
        Judgement::Now(outcome) if S::AT_HEAD => {
            guard.settle(outcome);
            return None;
        }
        Judgement::Now(outcome) => {
            guard.presume(outcome);
            Some(outcome)
        }
        Judgement::AtEnd => None,
    };
    Some(Ending {
        classify,
        guard,
        decided,
        // A gRPC status comes after the body, and is worth waiting for beyond its length.
        trailers_matter: head.grpc || head.headers.contains_key(TRAILER),
        error: PhantomData,
    })
}

/// Waits at the end of a body to settle its exchange.
#[derive(Debug)]
pub struct Ending<C, S: Settle, E> {
    classify: C,
    guard: Guard<S>,
    /// What the head decided, where that is told at the end.
    decided: Option<Outcome>,
    trailers_matter: bool,
    error: PhantomData<fn(&E)>,
}

impl<C: ClassifyHttp<E>, S: Settle, E> Ending<C, S, E> {
    fn outcome(&mut self, trailers: Option<&HeaderMap>) -> Outcome {
        if let Some(decided) = self.decided {
            return decided;
        }
        self.guard.enter();
        let outcome = self.classify.end(trailers);
        self.guard.leave();
        outcome
    }
}

impl<C: ClassifyHttp<E>, S: Settle, E> Watch for Ending<C, S, E> {
    fn complete(&mut self, trailers: Option<&HeaderMap>) {
        let outcome = self.outcome(trailers);
        self.guard.settle(outcome);
    }

    fn delivered(&mut self) -> bool {
        let outcome = self.outcome(None);
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

    fn enter(&mut self) {
        self.guard.enter();
    }

    fn leave(&mut self) {
        self.guard.leave();
    }
}
