//! The service for anything.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::judge_result::JudgeResult;
use buttress_core::protocol::{ClassifyResult, OkOrErr, Plain};
use buttress_core::settle::Guard;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::service::Latency;
use crate::settle::Recording;

pin_project! {
    /// The response of a measured service that is not HTTP, recorded when it comes.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct PlainFuture<F, C = OkOrErr> {
        #[pin]
        judge: JudgeResult<F, C, Recording>,
    }
}

impl<S, C, R> Service<R> for Latency<S, Plain, C>
where
    S: Service<R>,
    C: ClassifyResult<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = PlainFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let polled = self.inner.poll_ready(cx);
        self.wait.polled(&polled, || self.routing.clock_of_waits());
        polled
    }

    fn call(&mut self, request: R) -> Self::Future {
        let waited = self.wait.take();
        let classify = self.classify.clone();
        let mut guard = Guard::new(self.routing.start_plain(waited));
        let before = Guard::<Recording>::waits();
        guard.enter();
        let future = self.inner.call(request);
        guard.leave();
        guard.tell_waits(before);
        PlainFuture {
            judge: JudgeResult::new(future, classify, guard),
        }
    }
}

impl<F, C, T, E> Future for PlainFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: ClassifyResult<T, E>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().judge.poll(cx)
    }
}
