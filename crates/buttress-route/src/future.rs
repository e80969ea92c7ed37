//! The future of a routed request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress_core::body::{Watched, is_head};
use buttress_core::classify::ClassifyHttp;
use buttress_core::clock::Sleep;
use buttress_core::judge::{Judge, JudgedBody};
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::reject::{Rejected, is_grpc};
use buttress_core::settle::Guard;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::permit::Permit;
use crate::pool::Pick;
use crate::service::Picked;
use crate::slot::Slot;

/// The body of a routed response: the endpoint's own, watched to its end.
pub type RoutedBody<B, C, E> = JudgedBody<B, C, Permit, E>;

/// When a client that found no endpoint may come back.
const COME_BACK: Duration = Duration::from_secs(1);

pin_project! {
    /// The future of [`crate::HealthRouter`]: makes the endpoint ready, calls it, and judges what
    /// comes of it. Dropping it gives the endpoint's place back.
    #[must_use = "a future does nothing until it is polled"]
    pub struct ResponseFuture<S, B, C>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, C, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, C, F> {
        Readying {
            attempt: Option<Attempt<S, B, C>>,
            #[pin]
            sleep: Option<Sleep>,
        },
        Calling {
            #[pin]
            judge: Judge<F, C, Permit>,
            slot: Arc<Slot>,
        },
        Refused { refusal: Option<(Rejected, bool)> },
    }
}

/// A request on its way to an endpoint that is not ready yet.
struct Attempt<S, B, C> {
    service: S,
    request: Request<B>,
    classify: C,
    guard: Guard<Permit>,
    slot: Arc<Slot>,
    ready_deadline: Duration,
}

/// What became of an attempt's wait.
enum Readied<E> {
    Yes,
    Failed(E),
    TooLate,
}

impl<S, B, C> ResponseFuture<S, B, C>
where
    S: Service<Request<B>>,
{
    pub(crate) fn send(pick: Pick<S>, request: Request<B>, classify: C) -> Self {
        let attempt = Attempt {
            service: pick.service,
            request,
            classify,
            guard: Guard::new(pick.permit),
            slot: pick.slot,
            ready_deadline: pick.ready_deadline,
        };
        Self {
            state: State::Readying {
                attempt: Some(attempt),
                sleep: None,
            },
        }
    }

    pub(crate) fn no_endpoint(request: &Request<B>) -> Self {
        let rejected = Rejected::new("route", "no_endpoint").retry_after(COME_BACK);
        Self {
            state: State::Refused {
                refusal: Some((rejected, is_grpc(request.headers()))),
            },
        }
    }
}

impl<S, B, C, ResBody> Future for ResponseFuture<S, B, C>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body,
    C: ClassifyHttp<S::Error>,
{
    type Output = Result<Response<RoutedBody<ResBody, C, S::Error>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Readying { attempt, mut sleep } => {
                    let Some(waiting) = attempt.as_mut() else {
                        // Polled again after it has ended.
                        return Poll::Pending;
                    };
                    let readied = ready!(waiting.poll_ready(sleep.as_mut(), cx));
                    let Some(attempt) = attempt.take() else {
                        return Poll::Pending;
                    };
                    match readied {
                        Readied::Yes => {
                            let slot = Arc::clone(&attempt.slot);
                            let judge = attempt.call();
                            state.set(State::Calling { judge, slot });
                        }
                        Readied::Failed(error) => return Poll::Ready(Err(attempt.fail(error))),
                        Readied::TooLate => return Poll::Ready(Ok(attempt.give_up())),
                    }
                }
                StateProj::Calling { judge, slot } => {
                    let mut response = ready!(judge.poll(cx))?;
                    let picked = Picked(Arc::clone(&slot.id));
                    response.extensions_mut().insert(picked);
                    return Poll::Ready(Ok(response));
                }
                StateProj::Refused { refusal } => {
                    let Some((rejected, grpc)) = refusal.take() else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(Ok(rejected.into_response(grpc, Watched::empty())));
                }
            }
        }
    }
}

impl<S, B, C> Attempt<S, B, C>
where
    S: Service<Request<B>>,
{
    fn poll_ready(
        &mut self,
        mut sleep: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Readied<S::Error>> {
        self.guard.enter();
        let polled = self.service.poll_ready(cx);
        self.guard.leave();
        match polled {
            Poll::Ready(Ok(())) => return Poll::Ready(Readied::Yes),
            Poll::Ready(Err(error)) => return Poll::Ready(Readied::Failed(error)),
            Poll::Pending => {}
        }
        if sleep.is_none() {
            sleep.set(Some(self.slot.clock().sleep(self.ready_deadline)));
        }
        match sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| Readied::TooLate),
            None => Poll::Pending,
        }
    }

    fn call(mut self) -> Judge<S::Future, C, Permit> {
        let method_is_head = is_head(self.request.method());
        self.guard.enter();
        let future = self.service.call(self.request);
        self.guard.leave();
        Judge::guarded(future, self.classify, self.guard, method_is_head)
    }

    fn fail(mut self, error: S::Error) -> S::Error
    where
        C: ClassifyHttp<S::Error>,
    {
        let outcome = self.classify.error(&error);
        self.guard.settle(outcome);
        error
    }

    fn give_up<ResBody: Body>(mut self) -> Response<RoutedBody<ResBody, C, S::Error>>
    where
        C: ClassifyHttp<S::Error>,
    {
        if let Some(permit) = self.guard.get_mut() {
            permit.never_called();
        }
        self.guard.settle(Outcome::Failure(FailureKind::Deadline));
        let rejected = Rejected::new("route", "not_ready").retry_after(COME_BACK);
        let grpc = is_grpc(self.request.headers());
        let mut response = rejected.into_response(grpc, Watched::empty());
        let picked = Picked(Arc::clone(&self.slot.id));
        response.extensions_mut().insert(picked);
        response
    }
}

impl<S, B, C> fmt::Debug for ResponseFuture<S, B, C>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Readying { .. } => "readying",
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
