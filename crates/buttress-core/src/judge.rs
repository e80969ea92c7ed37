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

use crate::body::{Begins, UNKNOWN, Watch, Watched};
use crate::classify::{ClassifyHttp, Head, Judgement, has_grpc_status};
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
        // Judged where it lies, and moved but once, to where the body's end is waited for. `None` from
        // then on, or once it is settled.
        exchange: Option<Exchange<C, S>>,
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
            exchange: Some(Exchange::new(classify, guard)),
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
        let exchange = this.exchange;
        let before = Guard::<S>::waits();
        if let Some(exchange) = exchange {
            exchange.guard.enter();
        }
        let polled = this.future.poll(cx);
        if let Some(exchange) = exchange {
            exchange.guard.leave();
            exchange.guard.tell_waits(before);
        }
        // The response is looked at where it lies: it is large, and is moved but once.
        let (remaining, ended) = match &polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(response)) => match exchange {
                Some(exchange) => exchange.at_head(response, *this.method_is_head),
                None => Exchange::<C, S>::SETTLED,
            },
            Poll::Ready(Err(error)) => {
                if let Some(exchange) = exchange {
                    exchange.fail(error);
                }
                Exchange::<C, S>::SETTLED
            }
        };
        if ended {
            *exchange = None;
        }
        polled.map_ok(|response| {
            response.map(|body| {
                let ending = exchange.take().map(|exchange| Ending {
                    exchange,
                    error: PhantomData,
                });
                Watched::on_its_way(body, ending, remaining)
            })
        })
    }
}

/// What is to be settled, by what, and what is known of it.
#[derive(Debug)]
struct Exchange<C, S: Settle> {
    classify: C,
    guard: Guard<S>,
    /// What the head decided, where that is told at the end.
    decided: Option<Outcome>,
    /// What an end without a `grpc-status` is, where one has to be.
    unsaid: Option<Outcome>,
    trailers_matter: bool,
}

impl<C, S: Settle> Exchange<C, S> {
    /// Of a body whose end matters to nobody.
    const SETTLED: (u64, bool) = (UNKNOWN, true);

    const fn new(classify: C, guard: Guard<S>) -> Self {
        Self {
            classify,
            guard,
            decided: None,
            unsaid: None,
            trailers_matter: false,
        }
    }

    /// Judges the head, and says how much of the body is to come and whether all has ended by that.
    #[inline]
    fn at_head<B, E>(&mut self, response: &Response<B>, method_is_head: bool) -> (u64, bool)
    where
        B: Body,
        C: ClassifyHttp<E>,
    {
        let head = Head::of(response);
        self.guard.enter();
        self.guard.head(&head);
        let judgement = self.classify.head(&head);
        if let Judgement::Now(outcome) = judgement {
            self.ask(outcome, Some(head.headers));
        }
        self.guard.leave();
        match judgement {
            Judgement::Now(outcome) if S::AT_HEAD => {
                self.guard.settle(outcome);
                return Self::SETTLED;
            }
            Judgement::Now(outcome) => {
                self.guard.presume(outcome);
                self.decided = Some(outcome);
            }
            Judgement::AtEnd => self.guard.answered(),
            Judgement::InTrailers(outcome) => {
                self.guard.answered();
                // A HEAD has no trailers.
                self.unsaid = (!method_is_head).then_some(outcome);
            }
        }
        // A gRPC status comes after the body, and is worth waiting for beyond its length.
        self.trailers_matter = head.grpc || head.trailers;
        let (remaining, begins) = Begins::of(response.body(), method_is_head, head.status);
        let ended = match begins {
            Begins::Complete => {
                self.complete(None);
                true
            }
            Begins::Delivered => self.delivered(),
            Begins::Open => false,
        };
        (remaining, ended)
    }

    #[cold]
    fn fail<E>(&mut self, error: &E)
    where
        C: ClassifyHttp<E>,
    {
        self.guard.enter();
        let outcome = self.classify.error(error);
        self.guard.leave();
        self.guard.settle(outcome);
    }

    /// Passes on for how long a failing upstream asks to be left alone.
    #[inline]
    fn ask<E>(&mut self, outcome: Outcome, told: Option<&HeaderMap>)
    where
        C: ClassifyHttp<E>,
    {
        if outcome.is_failure()
            && let Some(wait) = told.and_then(|headers| self.classify.wait(headers))
        {
            self.guard.asked(wait);
        }
    }

    /// What the end is; `unsaid` if it has to have a `grpc-status` and has none.
    fn outcome<E>(&mut self, trailers: Option<&HeaderMap>, unsaid: Option<Outcome>) -> Outcome
    where
        C: ClassifyHttp<E>,
    {
        if let Some(decided) = self.decided {
            return decided;
        }
        self.guard.enter();
        let unsaid = unsaid.filter(|_| !trailers.is_some_and(has_grpc_status));
        let outcome = unsaid.unwrap_or_else(|| self.classify.end(trailers));
        self.ask(outcome, trailers);
        self.guard.leave();
        outcome
    }

    fn complete<E>(&mut self, trailers: Option<&HeaderMap>)
    where
        C: ClassifyHttp<E>,
    {
        if let Some(trailers) = trailers {
            self.guard.enter();
            self.guard.trailers(trailers);
            self.guard.leave();
        }
        let outcome = self.outcome(trailers, self.unsaid);
        self.guard.settle(outcome);
    }

    fn delivered<E>(&mut self) -> bool
    where
        C: ClassifyHttp<E>,
    {
        let outcome = self.outcome(None, None);
        if self.trailers_matter {
            // Not every server asks for them; a drop is as good an end as any now.
            self.guard.presume(outcome);
        } else {
            self.guard.settle(outcome);
        }
        !self.trailers_matter
    }
}

/// Waits at the end of a body to settle its exchange.
#[derive(Debug)]
pub struct Ending<C, S: Settle, E> {
    exchange: Exchange<C, S>,
    error: PhantomData<fn(&E)>,
}

impl<C: ClassifyHttp<E>, S: Settle, E> Watch for Ending<C, S, E> {
    fn complete(&mut self, trailers: Option<&HeaderMap>) {
        self.exchange.complete(trailers);
    }

    fn delivered(&mut self) -> bool {
        self.exchange.delivered()
    }

    fn broken(&mut self) {
        let decided = self.exchange.decided;
        let outcome = decided.unwrap_or(Outcome::Failure(FailureKind::Body));
        self.exchange.guard.settle(outcome);
    }

    fn data(&mut self, bytes: u64) {
        self.exchange.guard.data(bytes);
    }

    fn awaited(&mut self) {
        self.exchange.guard.awaited();
    }

    fn enter(&mut self) {
        self.exchange.guard.enter();
    }

    fn leave(&mut self) {
        self.exchange.guard.leave();
    }
}
