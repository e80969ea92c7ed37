//! One span for each request that a server answers.

use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::body::is_head;
use buttress_core::trace_context::TraceContext;
use buttress_correlation::{ClientCorrelationId, CorrelationId, Trust};
use http::{HeaderValue, Request, Response};
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
/// the trace restarts here, linked to the client's, and the client's headers, `baggage` too, do not go
/// inward. With no exporter configured there is no span and next to no cost; headers that are believed
/// pass through.
///
/// The span follows the HTTP conventions of OpenTelemetry and is called `{method} {route}`
/// ([`super::record_route`]). It names the method, the path, the scheme, the route, the version of the
/// protocol, the status, `error.type`, the correlation ID (and as `client_correlation_id` the valid one of a
/// client that is not believed) and `buttress.outcome`; besides, where
/// layers further in say so in the response's extensions, what they
/// [decided](buttress_core::decision) and whether they [refused](buttress_core::reject::Rejected):
/// `buttress.pool`, `buttress.endpoint`, `buttress.probe`, `buttress.breaker`, `buttress.admission`,
/// `buttress.verdict`, `buttress.rejected.by` and `buttress.rejected.reason`. The query is never
/// recorded, nor any header, save the user agent where [`ServerSpanLayer::user_agent`] asks for it.
#[derive(Clone, Debug, Default)]
pub struct ServerSpanLayer(Settings);

#[derive(Clone, Debug, Default)]
struct Settings {
    trust: Trust,
    address: Option<(Arc<str>, u16)>,
    user_agent: bool,
}

/// The service of a [`ServerSpanLayer`].
#[derive(Clone, Debug)]
pub struct ServerSpan<S> {
    inner: S,
    settings: Settings,
}

impl ServerSpanLayer {
    /// A layer at an edge: every trace starts here.
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes `traceparent` and `baggage` as `trust` says.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.0.trust = trust;
        self
    }

    /// Says that this is the server at `host` and `port`: `server.address` and `server.port`. What a
    /// client writes into `Host` is not taken for it. Default: nothing is said.
    #[must_use]
    pub fn address(mut self, host: impl Into<Arc<str>>, port: u16) -> Self {
        self.0.address = Some((host.into(), port));
        self
    }

    /// Whether spans have the client's `User-Agent`, as `user_agent.original`: its first 256 bytes, if
    /// all of it is visible ASCII. Default `false`, for a client can write anything into it.
    #[must_use]
    pub const fn user_agent(mut self, recorded: bool) -> Self {
        self.0.user_agent = recorded;
        self
    }
}

impl<S> Layer<S> for ServerSpanLayer {
    type Service = ServerSpan<S>;

    fn layer(&self, inner: S) -> ServerSpan<S> {
        ServerSpan {
            inner,
            settings: self.0.clone(),
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
        let claimed = Claimed::read(&self.settings.trust, &mut request);
        let (scope, end) = begin(&self.settings, &mut request, claimed);
        let (future, end) = guarded(end, || scope.enter(|| self.inner.call(request)));
        ResponseFuture::new(future, scope, end, method_is_head)
    }
}

/// What a request says of the trace that it belongs to.
struct Claimed {
    trace: Claim,
    /// Only where it is believed.
    baggage: Option<HeaderValue>,
}

/// The trace that a request claims to belong to.
#[derive(Clone, Copy)]
enum Claim {
    None,
    Believed(TraceContext),
    Disbelieved(TraceContext),
}

impl Claimed {
    /// Reads the claim; headers that are malformed or not believed do not go inward, and neither does a
    /// state that belongs to no parent.
    fn read<B>(trust: &Trust, request: &mut Request<B>) -> Self {
        let (mut trace, mut baggage) = (Claim::None, None);
        if traceparent::is_told(request.headers()) {
            let read = traceparent::read(request.headers());
            let believed = trust.believes(request);
            let headers = request.headers_mut();
            if believed {
                baggage = traceparent::baggage(headers);
            }
            match (believed, read) {
                (true, Some(context)) => trace = Claim::Believed(context),
                (true, None) => traceparent::remove(headers),
                (false, read) => {
                    traceparent::remove_all(headers);
                    trace = read.map_or(Claim::None, Claim::Disbelieved);
                }
            }
        }
        Self { trace, baggage }
    }
}

fn begin<B>(
    settings: &Settings,
    request: &mut Request<B>,
    claimed: Claimed,
) -> (Scope, Option<SpanEnd>) {
    if !super::is_recording() {
        return (unrecorded(request, claimed), None);
    }
    let correlation = request.extensions().get::<CorrelationId>().cloned();
    let span = span(settings, request, correlation.as_ref());
    match claimed.trace {
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
    let exchange = Exchange::new(About {
        span: Some(span),
        method: convention::span_method(convention::method(request.method())),
        correlation,
        trace,
        baggage: claimed.baggage,
        ..About::default()
    });
    let end = SpanEnd::new(exchange.clone(), Side::Server);
    (Scope::Exchange(exchange), Some(end))
}

/// Nobody records here: what is believed passes through, any other request is left alone.
fn unrecorded<B>(request: &mut Request<B>, claimed: Claimed) -> Scope {
    let trace = match claimed.trace {
        Claim::Believed(trace) => Some(trace),
        _ if claimed.baggage.is_some() => None,
        _ => return Scope::Current,
    };
    if let Some(trace) = trace {
        request.extensions_mut().insert(trace);
    }
    let header = |name| request.headers().get(name).cloned();
    let inbound = header(&traceparent::TRACEPARENT).map(|parent| Inbound {
        parent,
        state: header(&traceparent::TRACESTATE),
    });
    Scope::Exchange(Exchange::new(About {
        correlation: request.extensions().get().cloned(),
        trace,
        inbound,
        baggage: claimed.baggage,
        ..About::default()
    }))
}

fn span<B>(settings: &Settings, request: &Request<B>, correlation: Option<&CorrelationId>) -> Span {
    let method = convention::method(request.method());
    let address = settings.address.as_ref();
    let agent = || convention::user_agent(request.headers());
    let theirs = request.extensions().get::<ClientCorrelationId>();
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
        server.address = address.map(|(host, _)| &**host),
        server.port = address.map(|(_, port)| i64::from(*port)),
        user_agent.original = settings.user_agent.then(agent).flatten(),
        network.protocol.version = convention::version(request.version()),
        error.r#type = Empty,
        correlation_id = correlation.map(CorrelationId::as_str),
        client_correlation_id = theirs.map(|theirs| theirs.0.as_str()),
        buttress.outcome = Empty,
        buttress.pool = Empty,
        buttress.endpoint = Empty,
        buttress.probe = Empty,
        buttress.breaker = Empty,
        buttress.admission = Empty,
        buttress.verdict = Empty,
        buttress.rejected.by = Empty,
        buttress.rejected.reason = Empty,
    )
}
