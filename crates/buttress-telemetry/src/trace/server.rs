//! One span for each request that a server answers.

use std::task::{Context, Poll};

use buttress_core::body::is_head;
use buttress_core::trace_context::TraceContext;
use buttress_correlation::{CorrelationId, Trust};
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;
use tracing::field::Empty;

use super::current::{About, Exchange, Inbound};
use super::settle::{Side, SpanEnd};
use super::{bridge, convention, traceparent};
use crate::exchange::{ResponseBody, ResponseFuture, Scope};
use crate::guarded::guarded;

/// Gives every request a span of kind SERVER that ends with the response's body, and says with
/// [`TraceContext`] in the request's extensions which trace that is.
///
/// `traceparent` is believed as [`Trust`] says, and only if it is well formed: by default (an edge)
/// the trace restarts here, linked to the client's, and the client's headers do not go inward. With
/// no exporter configured there is no span and next to no cost; headers that are believed pass
/// through.
///
/// The span names the method, the path without its query, the route ([`super::record_route`]), the
/// status and the correlation ID. No header and no query is ever recorded.
#[derive(Clone, Debug, Default)]
pub struct ServerSpanLayer {
    trust: Trust,
}

/// The service of a [`ServerSpanLayer`].
#[derive(Clone, Debug)]
pub struct ServerSpan<S> {
    inner: S,
    trust: Trust,
}

impl ServerSpanLayer {
    /// A layer at an edge: every trace starts here.
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes `traceparent` as `trust` says.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }
}

impl<S> Layer<S> for ServerSpanLayer {
    type Service = ServerSpan<S>;

    fn layer(&self, inner: S) -> ServerSpan<S> {
        ServerSpan {
            inner,
            trust: self.trust.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for ServerSpan<S>
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
        let claim = claim(&self.trust, &mut request);
        let (scope, end) = begin(&mut request, claim);
        let (future, end) = guarded(end, || scope.enter(|| self.inner.call(request)));
        ResponseFuture::new(future, scope, end, method_is_head)
    }
}

/// The trace that a request claims to belong to.
#[derive(Clone, Copy)]
enum Claim {
    None,
    Believed(TraceContext),
    Disbelieved(TraceContext),
}

/// Reads the claim; headers that are malformed or not believed do not go inward, and neither does a
/// state that belongs to no parent.
fn claim<B>(trust: &Trust, request: &mut Request<B>) -> Claim {
    if !request.headers().contains_key(&traceparent::TRACEPARENT) {
        request.headers_mut().remove(&traceparent::TRACESTATE);
        return Claim::None;
    }
    let read = traceparent::read(request.headers());
    match read {
        Some(context) if trust.believes(request) => return Claim::Believed(context),
        _ => traceparent::remove(request.headers_mut()),
    }
    read.map_or(Claim::None, Claim::Disbelieved)
}

fn begin<B>(request: &mut Request<B>, claim: Claim) -> (Scope, Option<SpanEnd>) {
    if !super::is_recording() {
        return (unrecorded(request, claim), None);
    }
    let correlation = request.extensions().get::<CorrelationId>().cloned();
    let span = span(request, correlation.as_ref());
    match claim {
        Claim::Believed(parent) => {
            let state = request.headers().get(&traceparent::TRACESTATE);
            bridge::adopt(&span, parent, state);
        }
        Claim::Disbelieved(other) => bridge::link(&span, other),
        Claim::None => {}
    }
    let trace = bridge::recorded(&span).map(|recorded| recorded.context);
    if let Some(trace) = trace {
        request.extensions_mut().insert(trace);
    }
    let method = convention::span_method(convention::method(request.method()));
    let exchange = Exchange::new(About {
        span: Some(span),
        method,
        correlation,
        trace,
        inbound: None,
    });
    let end = SpanEnd::new(exchange.clone(), Side::Server);
    (Scope::Exchange(exchange), Some(end))
}

/// Nobody records here: a trace that is believed passes through, any other request is left alone.
fn unrecorded<B>(request: &mut Request<B>, claim: Claim) -> Scope {
    let Claim::Believed(trace) = claim else {
        return Scope::Current;
    };
    request.extensions_mut().insert(trace);
    let header = |name| request.headers().get(name).cloned();
    let inbound = header(&traceparent::TRACEPARENT).map(|parent| Inbound {
        parent,
        state: header(&traceparent::TRACESTATE),
    });
    Scope::Exchange(Exchange::new(About {
        correlation: request.extensions().get().cloned(),
        trace: Some(trace),
        inbound,
        ..About::default()
    }))
}

fn span<B>(request: &Request<B>, correlation: Option<&CorrelationId>) -> Span {
    let method = convention::method(request.method());
    tracing::info_span!(
        target: crate::SPAN_TARGET,
        parent: None,
        "request",
        otel.name = convention::span_method(method),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        http.route = Empty,
        url.path = request.uri().path(),
        url.scheme = convention::scheme(request.uri()),
        network.protocol.version = convention::version(request.version()),
        error.r#type = Empty,
        correlation_id = correlation.map(CorrelationId::as_str),
    )
}
