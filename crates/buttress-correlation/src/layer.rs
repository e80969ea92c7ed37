//! The server side: takes or mints, carries inward, echoes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::config::ConfigError;
use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::current::{Scoped, inside};
use crate::handle::CorrelationHandle;
use crate::live::{Live, Shared};
use crate::take::{put, take};
use crate::{Config, CorrelationId};

/// Gives every request exactly one valid ID and every response the same.
///
/// The ID stands in the request's header and extensions, is [`CorrelationId::current`] while
/// the inner service works, and goes back in the response's header and extensions; in no extensions
/// if [`Config::extensions`] says so. All services and clones of one layer share its counters and its
/// configuration, which [`CorrelationHandle::reconfigure`] replaces.
#[derive(Clone, Debug, Default)]
pub struct CorrelationLayer(Arc<Shared>);

/// The service of a [`CorrelationLayer`].
#[derive(Clone, Debug)]
pub struct Correlation<S> {
    inner: S,
    live: Live,
}

impl CorrelationLayer {
    /// A layer that does as `config` says. The first one in a process that mints UUIDv7 calibrates the clock, which
    /// takes up to 200 ms: make it at start, not in a request.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self(Arc::new(Shared::new(config))))
    }

    /// Reads what this layer counts, and reconfigures it.
    pub fn handle(&self) -> CorrelationHandle {
        CorrelationHandle(Arc::clone(&self.0))
    }
}

impl<S> Layer<S> for CorrelationLayer {
    type Service = Correlation<S>;

    fn layer(&self, inner: S) -> Correlation<S> {
        Correlation {
            inner,
            live: Live::new(Arc::clone(&self.0)),
        }
    }
}

impl<S> Correlation<S> {
    /// Wraps `inner` as `config` says, with counters of its own.
    pub fn new(inner: S, config: Config) -> Result<Self, ConfigError> {
        Ok(CorrelationLayer::new(config)?.layer(inner))
    }

    /// The wrapped service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The wrapped service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The wrapped service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Correlation<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (config, counters) = self.live.now();
        let mut id = CorrelationId::BLANK;
        let value = take(config, counters, &mut request, &mut id);
        let echo = Echo {
            header: config.echo,
            value,
            extensions: config.extensions,
        };
        let future = inside(Some(&id), || self.inner.call(request));
        ResponseFuture {
            inner: Scoped::around(Some(id), future),
            echo: Some(echo),
        }
    }
}

pin_project! {
    /// The future of a [`Correlation`] service.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Scoped<F>,
        echo: Option<Echo>,
    }
}

/// Where the ID goes in the response.
#[derive(Debug)]
struct Echo {
    header: &'static HeaderName,
    value: HeaderValue,
    extensions: bool,
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let echo = this.echo;
        this.inner.poll_and(cx, |result, id| {
            let (Ok(response), Some(echo), Some(id)) = (result, echo.take(), id) else {
                return;
            };
            if echo.extensions {
                response.extensions_mut().insert(CorrelationId::clone(id));
            }
            put(response.headers_mut(), echo.header, echo.value);
        })
    }
}
