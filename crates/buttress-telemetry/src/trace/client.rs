//! One span for each request that is sent, and the headers that tell the other side of it.

use std::task::{Context, Poll};

use buttress_core::body::is_head;
use buttress_correlation::{CorrelationId, Hosts};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;
use tracing::field::Empty;

use super::current::{self, About, Exchange};
use super::settle::{Side, SpanEnd};
use super::{bridge, convention, traceparent};
use crate::exchange::{ResponseBody, ResponseFuture, Scope};
use crate::guarded::guarded;

/// Gives every outgoing request a span of kind CLIENT, below the current span, that ends with the
/// response's body, and sets `traceparent` and `tracestate` to it in place of whatever was there.
///
/// Hosts that are not ours need not be told: [`TracePropagateLayer::hosts`].
///
/// Inside of retries each attempt has a span of its own. With no exporter configured there is no
/// span; headers that the request carries already stay, and those of the request that is being
/// answered, where they were believed, are passed on as they came.
///
/// The span names the method, the address, the URL without user, password and query, the status and
/// the correlation ID. No header and no query is ever recorded.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TracePropagateLayer {
    hosts: Hosts,
}

/// The service of a [`TracePropagateLayer`].
#[derive(Clone, Debug)]
pub struct TracePropagate<S> {
    inner: S,
    hosts: Hosts,
}

impl TracePropagateLayer {
    /// A layer that tells every host.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the trace to `hosts` alone. A request to any other has its span all the same, and goes out
    /// without `traceparent`, `tracestate` and `baggage`, whatever was there.
    #[must_use]
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = hosts;
        self
    }
}

impl<S> Layer<S> for TracePropagateLayer {
    type Service = TracePropagate<S>;

    fn layer(&self, inner: S) -> TracePropagate<S> {
        TracePropagate {
            inner,
            hosts: self.hosts.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for TracePropagate<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    R: Body,
{
    type Response = Response<ResponseBody<R, SpanEnd, S::Error>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, SpanEnd>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let method_is_head = is_head(request.method());
        let (scope, end) = begin(&mut request);
        if !self.hosts.contain(request.uri()) {
            traceparent::remove_all(request.headers_mut());
        }
        let (future, end) = guarded(end, || scope.enter(|| self.inner.call(request)));
        ResponseFuture::new(future, scope, end, method_is_head)
    }
}

fn begin<B>(request: &mut Request<B>) -> (Scope, Option<SpanEnd>) {
    if !crate::trace::is_recording() {
        pass_on(request.headers_mut());
        return (Scope::Nothing, None);
    }
    let correlation = match request.extensions().get::<CorrelationId>() {
        Some(id) => Some(id.clone()),
        None => CorrelationId::current(),
    };
    let span = span(request, correlation.as_ref());
    let trace = bridge::recorded(&span).map(|recorded| {
        let parent = traceparent::format(&recorded.context);
        set(request.headers_mut(), parent, recorded.state);
        recorded.context
    });
    let method = convention::span_method(convention::method(request.method()));
    let exchange = Exchange::new(About {
        span: Some(span),
        method,
        correlation,
        trace,
        inbound: None,
    });
    let end = SpanEnd::new(exchange.clone(), Side::Client);
    (Scope::Exchange(exchange), Some(end))
}

fn pass_on(headers: &mut HeaderMap) {
    if headers.contains_key(&traceparent::TRACEPARENT) {
        return;
    }
    if let Some(inbound) = current::inbound() {
        set(headers, inbound.parent, inbound.state);
    }
}

fn set(headers: &mut HeaderMap, parent: HeaderValue, state: Option<HeaderValue>) {
    // A map that is full to the protocol's limit keeps what it has.
    let _full = headers.try_insert(&traceparent::TRACEPARENT, parent);
    match state {
        Some(state) => {
            let _full = headers.try_insert(&traceparent::TRACESTATE, state);
        }
        None => {
            headers.remove(&traceparent::TRACESTATE);
        }
    }
}

fn span<B>(request: &Request<B>, correlation: Option<&CorrelationId>) -> Span {
    let (method, uri) = (convention::method(request.method()), request.uri());
    tracing::info_span!(
        target: crate::SPAN_TARGET,
        "request",
        otel.name = convention::span_method(method),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        http.route = Empty,
        server.address = uri.host(),
        server.port = uri.host().map(|_| convention::port(uri)),
        url.full = uri.host().map(|_| convention::full(uri)),
        network.protocol.version = convention::version(request.version()),
        error.r#type = Empty,
        correlation_id = correlation.map(CorrelationId::as_str),
    )
}
