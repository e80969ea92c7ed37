//! Where nobody records spans: a trace that is believed passes through as it came, any other goes no
//! further.

use std::task::{Context, Poll};

use buttress::correlation::Trust;
use http::{HeaderMap, HeaderName, Request};
use tower_service::Service;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

static TRACE: [&HeaderName; 3] = [&TRACEPARENT, &TRACESTATE, &BAGGAGE];

/// Takes the trace off what comes from clients that are not believed about it.
#[derive(Clone, Debug)]
pub struct Untraced<S> {
    inner: S,
    trust: Trust,
}

impl<S> Untraced<S> {
    /// In front of `inner`; the traces of clients that `trust` believes stay as they are.
    pub const fn new(inner: S, trust: Trust) -> Self {
        Self { inner, trust }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Untraced<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if has_trace(request.headers()) && !self.trust.believes(&request) {
            for name in TRACE {
                request.headers_mut().remove(name);
            }
        }
        self.inner.call(request)
    }
}

/// Most requests have none. To compare the few names that are there costs less than two hashes.
fn has_trace(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| TRACE.contains(&name))
}
