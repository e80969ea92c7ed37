//! Tells the span and the access line which route a request has taken.

use std::sync::Arc;
use std::task::{Context, Poll};

use buttress::telemetry::record_route;
use tower_service::Service;

/// Puts the route's name on the span that is current when it is called.
#[derive(Clone, Debug)]
pub struct Named<S> {
    name: Arc<str>,
    inner: S,
}

impl<S> Named<S> {
    /// The route `name`, served by `inner`.
    pub fn new(name: &str, inner: S) -> Self {
        Self {
            name: name.into(),
            inner,
        }
    }
}

impl<S: Service<R>, R> Service<R> for Named<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        record_route(&self.name);
        self.inner.call(request)
    }
}
