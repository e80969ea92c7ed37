//! One line for each exchange.

use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::body::is_head;
use buttress_core::classify::Head;
use buttress_core::clock::{Clock, Instant};
use buttress_core::outcome::Outcome;
use buttress_core::settle::Settle;
use buttress_core::trace_context::TraceContext;
use buttress_correlation::{ClientCorrelationId, CorrelationId};
use http::{Request, Response, Uri};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::exchange::{ResponseBody, ResponseFuture, Scope};
use crate::guarded::guarded;
use crate::redact::Redaction;
use crate::trace::convention;
use crate::trace::current::{About, Exchange};

/// The target of the lines.
pub const TARGET: &str = "buttress::access";

/// Logs one INFO event for each exchange at the end of its body: method, path, route, status,
/// outcome and duration, under the request's correlation ID; and `client_correlation_id`, the valid one of a client
/// that is not believed, so that it is found by that, too.
///
/// Nothing of the query is logged, nor any header, but what [`AccessLogLayer::redaction`] shows. Where
/// nothing takes INFO events of [`TARGET`] the layer does nothing.
#[derive(Clone, Debug, Default)]
pub struct AccessLogLayer {
    clock: Clock,
    redaction: Redaction,
}

/// The service of an [`AccessLogLayer`].
#[derive(Clone, Debug)]
pub struct AccessLog<S> {
    inner: S,
    clock: Clock,
    redaction: Redaction,
}

impl AccessLogLayer {
    /// A layer on the default clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// Measures on `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Shows of requests what `redaction` says: the path or not, and the headers and the parts of the query
    /// that it names.
    #[must_use]
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        self
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog {
            inner,
            clock: self.clock.clone(),
            redaction: self.redaction.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for AccessLog<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    R: Body,
{
    type Response = Response<ResponseBody<R, AccessEnd, S::Error>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, AccessEnd>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method_is_head = is_head(request.method());
        if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            let future = self.inner.call(request);
            return ResponseFuture::new(future, Scope::Nothing, None, method_is_head);
        }
        let (scope, end) = self.begin(&request);
        let (future, end) = guarded(Some(end), || scope.enter(|| self.inner.call(request)));
        ResponseFuture::new(future, scope, end, method_is_head)
    }
}

impl<S> AccessLog<S> {
    fn begin<B>(&self, request: &Request<B>) -> (Scope, AccessEnd) {
        let extensions = request.extensions();
        let exchange = Exchange::new(About {
            correlation: extensions.get::<CorrelationId>().cloned(),
            trace: extensions.get::<TraceContext>().copied(),
            ..About::default()
        });
        let end = AccessEnd {
            exchange: exchange.clone(),
            method: convention::method(request.method()),
            uri: request.uri().clone(),
            client: extensions
                .get()
                .map(|theirs: &ClientCorrelationId| theirs.0.clone()),
            headers: self.redaction.headers(request.headers()),
            redaction: self.redaction.clone(),
            status: None,
            correlation: None,
            clock: self.clock.clone(),
            start: self.clock.now(),
        };
        (Scope::Exchange(exchange), end)
    }
}

/// Writes the line of an exchange when the exchange ends.
#[derive(Debug)]
pub struct AccessEnd {
    exchange: Exchange,
    method: &'static str,
    uri: Uri,
    /// The ID that the client sent and is not believed about.
    client: Option<CorrelationId>,
    /// Those that are shown.
    headers: Option<String>,
    redaction: Redaction,
    status: Option<u16>,
    /// Of the response, where the ID is given further in.
    correlation: Option<CorrelationId>,
    clock: Clock,
    start: Instant,
}

impl AccessEnd {
    fn log(&self, outcome: Outcome, duration: Duration) {
        tracing::info!(
            target: TARGET,
            method = self.method,
            path = self.redaction.path(self.uri.path()).as_deref(),
            query = self.uri.query().and_then(|query| self.redaction.query(query)),
            headers = self.headers,
            route = self.exchange.route(),
            status = self.status,
            outcome = outcome.as_str(),
            attribution = attribution(outcome),
            duration_ms = millis(duration),
            client_correlation_id = self.client.as_ref().map(CorrelationId::as_str),
            "request"
        );
    }
}

/// Milliseconds with no more digits than whole microseconds need: what lines say of a time.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn attribution(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Failure(kind) => Some(kind.as_str().to_owned()),
        _ => None,
    }
}

impl Settle for AccessEnd {
    const AT_HEAD: bool = false;

    fn head(&mut self, head: &Head<'_>) {
        self.status = Some(head.status.as_u16());
        if self.exchange.about().correlation.is_none() {
            self.correlation = head.extensions.get().cloned();
        }
    }

    fn settle(self, outcome: Outcome) {
        let duration = self.clock.now().saturating_since(self.start);
        let log = || self.exchange.enter(|| self.log(outcome, duration));
        crate::trace::current::with_id(self.correlation.as_ref(), log);
    }
}
