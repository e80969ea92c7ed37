//! The first thing every request meets: it is made plain before any layer sees it.
//!
//! [`Ingress`] refuses what no proxy should pass on, finds the route, strips what is for this hop,
//! and tells the upstream who the client is, in this order. It does not answer: it puts an
//! [`Arrival`] into the request's extensions, so that a layer inside it (correlation, latency) sees
//! refused requests as well. [`crate::dispatch`] answers them innermost.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::HOST;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use tower_service::Service;

use crate::body::{RequestBody, UploadLimits};
use crate::config::{Config, ForwardedPolicy};
use crate::headers::{self, Peer};
use crate::problem::Problem;
use crate::routes::{RouteId, Routes};
use crate::target;

/// Where a request goes, or why it goes nowhere. [`Ingress`] puts one into every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival(pub Result<RouteId, Problem>);

/// Makes requests plain for the service inside it.
#[derive(Clone, Debug)]
pub struct Ingress<S> {
    inner: S,
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    routes: Routes,
    forwarded: ForwardedPolicy,
    limits: UploadLimits,
}

impl<S> Ingress<S> {
    /// In front of `inner`, by the rules of a configuration.
    pub fn new(inner: S, config: &Config) -> Self {
        let rules = Rules {
            routes: Routes::new(&config.routes),
            forwarded: config.forwarded.x_forwarded,
            limits: UploadLimits {
                max_bytes: config.listen.max_request_body,
                pause: config.listen.body_timeout,
            },
        };
        Self {
            inner,
            rules: Arc::new(rules),
        }
    }
}

impl Rules {
    fn admit(&self, request: Request<Incoming>) -> Request<RequestBody> {
        let (parts, incoming) = request.into_parts();
        let mut request = Request::from_parts(parts, RequestBody::empty());
        let mut verdict = self.route(&mut request);
        if verdict.is_ok() {
            match RequestBody::new(incoming, self.limits) {
                Ok(body) => *request.body_mut() = body,
                Err(problem) => verdict = Err(problem),
            }
        }
        headers::strip_request(request.headers_mut());
        self.forward(&mut request);
        request.extensions_mut().insert(Arrival(verdict));
        request
    }

    fn route(&self, request: &mut Request<RequestBody>) -> Result<RouteId, Problem> {
        target::normalize(request)?;
        self.routes.of(request).ok_or(Problem::NoRoute)
    }

    fn forward(&self, request: &mut Request<RequestBody>) {
        // The server gives every request its peer; without one nothing is claimed about it.
        let Some(peer) = request.extensions().get::<Peer>().cloned() else {
            return;
        };
        let host: Option<HeaderValue> = request.headers().get(&HOST).cloned();
        headers::forward(request.headers_mut(), self.forwarded, &peer, host.as_ref());
    }
}

impl<S: Service<Request<RequestBody>>> Service<Request<Incoming>> for Ingress<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> S::Future {
        self.inner.call(self.rules.admit(request))
    }
}
