//! A request that waits for its endpoint to become ready.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::body::{Watched, is_head};
use buttress_core::classify::ClassifyHttp;
use buttress_core::clock::Sleep;
use buttress_core::decision::Picked;
use buttress_core::judge::Judge;
use buttress_core::outcome::{FailureKind, Outcome, Unsent};
use buttress_core::readying::ReadyingWait;
use buttress_core::reject::{Rejected, is_grpc};
use buttress_core::settle::Guard;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::attempted;
use crate::future::{COME_BACK, RoutedBody, mark};
use crate::permit::Permit;

/// A request on its way to an endpoint that is not ready yet.
pub(crate) struct Attempt<S, B, C>
where
    S: Service<Request<B>>,
{
    pub(crate) service: S,
    pub(crate) request: Request<B>,
    pub(crate) classify: C,
    pub(crate) guard: Guard<Permit>,
    pub(crate) picked: Option<Box<Picked>>,
    pub(crate) ready_deadline: Duration,
    /// What the service answered when it was asked first, if it will never be ready.
    pub(crate) failed: Option<S::Error>,
    pub(crate) sleep: Option<Pin<Box<Sleep>>>,
    /// There while the endpoint is not ready, for whoever measures the request.
    pub(crate) wait: Option<ReadyingWait>,
}

/// What became of an attempt's wait.
pub(crate) enum Readied<E> {
    Yes,
    Failed(E),
    TooLate,
}

/// Calls a service that is ready.
#[inline]
pub(crate) fn call<S, B, C>(
    mut service: S,
    request: Request<B>,
    classify: C,
    mut guard: Guard<Permit>,
) -> Judge<S::Future, C, Permit>
where
    S: Service<Request<B>>,
{
    let method_is_head = is_head(request.method());
    guard.enter();
    let future = service.call(request);
    Judge::guarded(future, classify, guard.take(), method_is_head)
}

impl<S, B, C> Attempt<S, B, C>
where
    S: Service<Request<B>>,
{
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Readied<S::Error>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Readied::Failed(error));
        }
        self.guard.enter();
        let polled = self.service.poll_ready(cx);
        self.guard.leave();
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(Readied::Yes),
            Poll::Ready(Err(error)) => Poll::Ready(Readied::Failed(error)),
            Poll::Pending => self.poll_deadline(cx),
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Readied<S::Error>> {
        let Some(permit) = self.guard.get_mut() else {
            return Poll::Pending;
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(permit.clock().sleep(self.ready_deadline)));
        sleep.as_mut().poll(cx).map(|()| Readied::TooLate)
    }

    pub(crate) fn call(mut self) -> (Judge<S::Future, C, Permit>, Option<Box<Picked>>) {
        self.wait = None;
        let judge = call(self.service, self.request, self.classify, self.guard);
        (judge, self.picked)
    }

    pub(crate) fn fail(mut self, error: S::Error) -> S::Error
    where
        C: ClassifyHttp<S::Error>,
    {
        let outcome = self.classify.error(&error);
        self.guard.settle(outcome);
        attempted::tell_unsent();
        error
    }

    pub(crate) fn give_up<ResBody: Body>(mut self) -> Response<RoutedBody<ResBody, C, S::Error>>
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
        response.extensions_mut().insert(Unsent::new());
        mark(&mut response, self.picked);
        response
    }
}
