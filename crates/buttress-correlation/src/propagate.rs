//! The client side: exactly one ID on every request that goes out.

use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tower_layer::Layer;
use tower_service::Service;

use crate::config::X_CORRELATION_ID;
use crate::take::{only, put};
use crate::{CorrelationId, Hosts, Mint};

/// Sets exactly one valid ID on every outgoing request, in place of whatever was there.
///
/// It is the ID in the request's extensions, or else [`CorrelationId::current`]. Where neither is
/// known, a single valid ID that the caller set itself is kept, and without one an ID is minted.
/// Hosts that are not ours need not be told: [`PropagateLayer::hosts`].
/// Inside a retry or a hedge every attempt so carries the same ID, as long as one is known: put what
/// runs outside of any request into a [`CorrelationId::scope`].
#[derive(Clone, Debug)]
pub struct PropagateLayer {
    header: HeaderName,
    mint: Mint,
    hosts: Hosts,
}

/// The service of a [`PropagateLayer`].
#[derive(Clone, Debug)]
pub struct Propagate<S> {
    inner: S,
    layer: PropagateLayer,
}

impl Default for PropagateLayer {
    fn default() -> Self {
        Self {
            header: X_CORRELATION_ID.clone(),
            mint: Mint::default(),
            hosts: Hosts::default(),
        }
    }
}

impl PropagateLayer {
    /// Sets `x-correlation-id`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `header` instead.
    #[must_use]
    pub fn header(mut self, header: HeaderName) -> Self {
        self.header = header;
        self
    }

    /// Makes an ID as `mint` says where none is known.
    #[must_use]
    pub fn mint(mut self, mint: Mint) -> Self {
        self.mint = mint;
        self
    }

    /// Tells the ID to `hosts` alone. A request to any other goes out without one, whatever was there.
    #[must_use]
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = hosts;
        self
    }

    fn set<B>(&self, request: &mut Request<B>) {
        if !self.hosts.contain(request.uri()) {
            request.headers_mut().remove(&self.header);
            return;
        }
        let value = match request.extensions().get::<CorrelationId>() {
            Some(id) => self.known(request.headers(), id),
            None => CorrelationId::with_current(|id| match id {
                Some(id) => self.known(request.headers(), id),
                None => Some(self.unknown(request.headers())),
            }),
        };
        if let Some(value) = value {
            put(request.headers_mut(), &self.header, value);
        }
    }

    /// The header to set for `id`; none where it is there, as the layer that took the ID left it.
    fn known(&self, headers: &HeaderMap, id: &CorrelationId) -> Option<HeaderValue> {
        (!self.carries(headers, id)).then(|| id.to_header_value())
    }

    /// Whether `id`, and nothing else, is in the header already.
    fn carries(&self, headers: &HeaderMap, id: &CorrelationId) -> bool {
        matches!(only(&self.header, headers), Some(Ok(value)) if value.as_bytes() == id.as_bytes())
    }

    fn unknown(&self, headers: &HeaderMap) -> HeaderValue {
        match only(&self.header, headers) {
            Some(Ok(set_by_caller)) if CorrelationId::try_from(set_by_caller).is_ok() => {
                set_by_caller.clone()
            }
            _ => self.mint.mint().to_header_value(),
        }
    }
}

impl<S> Layer<S> for PropagateLayer {
    type Service = Propagate<S>;

    fn layer(&self, inner: S) -> Propagate<S> {
        Propagate {
            inner,
            layer: self.clone(),
        }
    }
}

impl<S> Propagate<S> {
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

impl<S, B> Service<Request<B>> for Propagate<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.layer.set(&mut request);
        self.inner.call(request)
    }
}
