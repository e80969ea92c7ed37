//! One span for each request that is sent, and the headers that tell the other side of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::attempt::Attempt;
use buttress_core::body::is_head;
use buttress_core::decision::Picked;
use buttress_correlation::{CorrelationId, Hosts};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
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
/// response's body, and sets `traceparent` and `tracestate` to it in place of whatever was there; the
/// `baggage` of the request that is being answered goes along where the request has none of its own.
///
/// Hosts that are not ours need not be told: [`TracePropagateLayer::hosts`].
///
/// Inside of retries each attempt has a span of its own, with `http.request.resend_count` from the
/// second one on, and a copy that nobody waits for with `buttress.copy` ([`Attempt`] in the request's
/// extensions). With no exporter configured there is no
/// span; headers that the request carries already stay, and those of the request that is being
/// answered, where they were believed, are passed on as they came.
///
/// The span follows the HTTP conventions of OpenTelemetry and is called `{method}`. It names the
/// method, the server's address, the URL without user, password and query, the version of the
/// protocol, the status, `error.type`, the correlation ID, `buttress.outcome`, and the pool and
/// endpoint of [`TracePropagateLayer::endpoint`]; besides what layers further in
/// [decided](buttress_core::decision). No header and no query is ever recorded.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TracePropagateLayer {
    hosts: Hosts,
    to: Option<Arc<To>>,
}

/// Where all requests of a layer go, as far as that is known.
#[derive(Clone, Debug, Default)]
struct To {
    endpoint: Option<Picked>,
    server: Option<Server>,
}

#[derive(Clone, Debug)]
struct Server {
    authority: Authority,
    scheme: Scheme,
}

/// The service of a [`TracePropagateLayer`].
#[derive(Clone, Debug)]
pub struct TracePropagate<S> {
    inner: S,
    hosts: Hosts,
    to: Option<Arc<To>>,
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

    /// Says that all requests go to `endpoint` of `pool`: `buttress.endpoint` and `buttress.pool` of
    /// their spans. For the stack of one endpoint, inside the router.
    #[must_use]
    pub fn endpoint(mut self, pool: impl Into<Arc<str>>, endpoint: impl Into<Arc<str>>) -> Self {
        self.to_mut().endpoint = Some(Picked::new(pool, endpoint));
        self
    }

    /// Says that all requests go to `authority` by `scheme`, whatever their URI says: `server.address`,
    /// `server.port` and `url.full` of their spans. For a stack whose client puts the authority there.
    #[must_use]
    pub fn server(mut self, scheme: Scheme, authority: Authority) -> Self {
        self.to_mut().server = Some(Server { authority, scheme });
        self
    }

    fn to_mut(&mut self) -> &mut To {
        Arc::make_mut(self.to.get_or_insert_default())
    }
}

impl<S> Layer<S> for TracePropagateLayer {
    type Service = TracePropagate<S>;

    fn layer(&self, inner: S) -> TracePropagate<S> {
        TracePropagate {
            inner,
            hosts: self.hosts.clone(),
            to: self.to.clone(),
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
        let (scope, end) = begin(self.to.as_deref(), &mut request);
        if !self.hosts.contain(request.uri()) {
            traceparent::remove_all(request.headers_mut());
        }
        let (future, end) = guarded(end, || scope.enter(|| self.inner.call(request)));
        ResponseFuture::new(future, scope, end, method_is_head)
    }
}

fn begin<B>(to: Option<&To>, request: &mut Request<B>) -> (Scope, Option<SpanEnd>) {
    if let Some(baggage) = current::baggage()
        && !request.headers().contains_key(&traceparent::BAGGAGE)
    {
        put(request.headers_mut(), &traceparent::BAGGAGE, baggage);
    }
    if !crate::trace::is_recording() {
        pass_on(request.headers_mut());
        return (Scope::Nothing, None);
    }
    let correlation = match request.extensions().get::<CorrelationId>() {
        Some(id) => Some(id.clone()),
        None => CorrelationId::current(),
    };
    let span = span(to, request, correlation.as_ref());
    let trace = bridge::recorded(&span).map(|recorded| {
        let parent = traceparent::format(&recorded.context);
        set(request.headers_mut(), parent, recorded.state);
        recorded.context
    });
    let exchange = Exchange::new(About {
        span: Some(span),
        method: convention::span_method(convention::method(request.method())),
        correlation,
        trace,
        is_sent: true,
        ..About::default()
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
    put(headers, &traceparent::TRACEPARENT, parent);
    match state {
        Some(state) => put(headers, &traceparent::TRACESTATE, state),
        None => drop(headers.remove(&traceparent::TRACESTATE)),
    }
}

fn put(headers: &mut HeaderMap, name: &'static HeaderName, value: HeaderValue) {
    // A map that is full to the protocol's limit keeps what it has.
    let _full = headers.try_insert(name, value);
}

fn span<B>(to: Option<&To>, request: &Request<B>, correlation: Option<&CorrelationId>) -> Span {
    let method = convention::method(request.method());
    let uri = whole(to.and_then(|to| to.server.as_ref()), request.uri());
    let endpoint = to.and_then(|to| to.endpoint.as_ref());
    let attempt = request.extensions().get::<Attempt>();
    let resent = attempt.map(|it| i64::from(it.resends()));
    let is_copy = attempt.is_some_and(|it| it.is_copy());
    tracing::info_span!(
        target: crate::SPAN_TARGET,
        "request",
        otel.name = convention::span_method(method),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method,
        http.request.resend_count = resent.filter(|&times| times > 0),
        http.response.status_code = Empty,
        server.address = uri.host(),
        server.port = uri.host().map(|_| convention::port(&uri)),
        url.full = uri.host().map(|_| convention::full(&uri)),
        network.protocol.version = Empty,
        error.r#type = Empty,
        correlation_id = correlation.map(CorrelationId::as_str),
        buttress.outcome = Empty,
        buttress.pool = endpoint.map(|to| &*to.pool),
        buttress.endpoint = endpoint.map(|to| &*to.endpoint),
        buttress.copy = is_copy.then_some(true),
        buttress.probe = Empty,
        buttress.breaker = Empty,
        buttress.admission = Empty,
        buttress.verdict = Empty,
        buttress.rejected.by = Empty,
        buttress.rejected.reason = Empty,
    )
}

/// `uri` with the server that it goes to, where that is known.
fn whole<'a>(server: Option<&Server>, uri: &'a Uri) -> Cow<'a, Uri> {
    let Some(server) = server else {
        return Cow::Borrowed(uri);
    };
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let whole = Uri::builder()
        .scheme(server.scheme.clone())
        .authority(server.authority.clone())
        .path_and_query(path)
        .build();
    whole.map_or(Cow::Borrowed(uri), Cow::Owned)
}
