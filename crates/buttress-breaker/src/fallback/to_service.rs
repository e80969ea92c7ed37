//! A service as a fallback.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::protocol::{Http, Plain, Protocol};
use buttress_core::readying::ReadyingWait;
use buttress_core::reject::Rejected;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Fallback;

/// Answers by a service, a clone for each request, readied inside the answer's future.
///
/// Over HTTP the [`Rejected`] is put into the request's extensions; a plain service is not told.
#[derive(Clone, Debug)]
pub struct ToService<S, P: Protocol = Http> {
    service: S,
    protocol: PhantomData<P>,
}

#[cfg(feature = "http")]
impl<S> ToService<S, Http> {
    /// Answers HTTP requests by `service`.
    pub const fn new(service: S) -> Self {
        Self {
            service,
            protocol: PhantomData,
        }
    }
}

impl<S> ToService<S, Plain> {
    /// Answers requests of any kind by `service`.
    pub const fn plain(service: S) -> Self {
        Self {
            service,
            protocol: PhantomData,
        }
    }
}

#[cfg(feature = "http")]
impl<S, B> Fallback<::http::Request<B>> for ToService<S, Http>
where
    S: Service<::http::Request<B>> + Clone,
{
    type Answer = S::Response;
    type Error = S::Error;
    type Future = ToServiceFuture<S, ::http::Request<B>>;

    fn answer(&self, mut request: ::http::Request<B>, rejected: Rejected) -> Self::Future {
        request.extensions_mut().insert(rejected);
        ToServiceFuture::new(self.service.clone(), request)
    }
}

impl<S: Service<R> + Clone, R> Fallback<R> for ToService<S, Plain> {
    type Answer = S::Response;
    type Error = S::Error;
    type Future = ToServiceFuture<S, R>;

    fn answer(&self, request: R, _: Rejected) -> Self::Future {
        ToServiceFuture::new(self.service.clone(), request)
    }
}

pin_project! {
    /// The future of an answer by a service.
    #[must_use = "a future does nothing until it is polled"]
    pub struct ToServiceFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        step: Step<S, R>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<S, R>
    where
        S: Service<R>,
    {
        // The wait is told to whoever measures the call.
        Readying { service: S, request: Option<R>, wait: Option<ReadyingWait> },
        Calling { #[pin] future: S::Future },
    }
}

impl<S: Service<R>, R> ToServiceFuture<S, R> {
    const fn new(service: S, request: R) -> Self {
        Self {
            step: Step::Readying {
                service,
                request: Some(request),
                wait: None,
            },
        }
    }
}

impl<S: Service<R>, R> Future for ToServiceFuture<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            let future = match step.as_mut().project() {
                StepProj::Calling { future } => return future.poll(cx),
                StepProj::Readying {
                    service,
                    request,
                    wait,
                } => {
                    let Poll::Ready(readied) = service.poll_ready(cx) else {
                        wait.get_or_insert_with(ReadyingWait::begin);
                        return Poll::Pending;
                    };
                    *wait = None;
                    readied?;
                    match request.take() {
                        Some(request) => service.call(request),
                        // Polled again after a panic of the service's.
                        None => return Poll::Pending,
                    }
                }
            };
            step.set(Step::Calling { future });
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for ToServiceFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToServiceFuture").finish_non_exhaustive()
    }
}
