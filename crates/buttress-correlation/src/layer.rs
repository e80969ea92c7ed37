//! The server side: takes or mints, carries inward, echoes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::current::Scoped;
use crate::handle::{CorrelationHandle, Counters};
use crate::take::{put, take};
use crate::{Config, CorrelationId};

/// Gives every request exactly one valid ID and every response the same.
///
/// The ID stands in the request's header and extensions, is [`CorrelationId::current`] while
/// the inner service works, and goes back in the response's header and extensions; in no extensions
/// if [`Config::extensions`] says so. All services and clones of one layer share its counters.
#[derive(Clone, Debug, Default)]
pub struct CorrelationLayer {
    config: Arc<Config>,
    counters: Arc<Counters>,
}

/// The service of a [`CorrelationLayer`].
#[derive(Clone, Debug)]
pub struct Correlation<S> {
    inner: S,
    layer: CorrelationLayer,
}

impl CorrelationLayer {
    /// A layer that does as `config` says.
    pub fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            counters: Arc::default(),
        }
    }

    /// Reads what this layer counts.
    pub fn handle(&self) -> CorrelationHandle {
        CorrelationHandle(Arc::clone(&self.counters))
    }
}

impl<S> Layer<S> for CorrelationLayer {
    type Service = Correlation<S>;

    fn layer(&self, inner: S) -> Correlation<S> {
        Correlation {
            inner,
            layer: self.clone(),
        }
    }
}

impl<S> Correlation<S> {
    /// Wraps `inner` as `config` says, with counters of its own.
    pub fn new(inner: S, config: Config) -> Self {
        CorrelationLayer::new(config).layer(inner)
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
        let CorrelationLayer { config, counters } = &self.layer;
        let taken = take(config, counters, &mut request);
        ResponseFuture {
            inner: Scoped::calling(taken.id, || self.inner.call(request)),
            echo: Some((config.header.clone(), taken.value)),
            extensions: config.extensions,
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
        echo: Option<(HeaderName, HeaderValue)>,
        extensions: bool,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (echo, extensions) = (this.echo, *this.extensions);
        this.inner.poll_and(cx, |result, id| {
            let (Ok(response), Some((name, value))) = (result, echo.take()) else {
                return;
            };
            put(response.headers_mut(), name, value);
            if let Some(id) = id.take().filter(|_| extensions) {
                response.extensions_mut().insert::<CorrelationId>(id);
            }
        })
    }
}
