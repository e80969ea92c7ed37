//! The first thing every request meets: it is made plain before any layer sees it.
//!
//! [`Ingress`] refuses what no proxy should pass on, finds the route, strips what is for this hop,
//! and tells the upstream who the client is, in this order. It does not answer: it gives the
//! request's body an [`Arrival`], so that a layer inside it (correlation, latency) sees refused
//! requests as well. [`crate::dispatch`] answers them innermost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress::core::clock::Clock;
use http::Request;
use hyper::body::{Body as _, Incoming};
use tower_service::Service;

use crate::body::{RequestBody, UploadLimits};
use crate::config::{Config, ForwardedPolicy, Trust};
use crate::headers::{self, Peer};
use crate::known_host::KnownHost;
use crate::networks::{FromWithin, Networks};
use crate::problem::Problem;
use crate::routes::{RouteId, Routes};
use crate::target;
use crate::untraced::Untraced;
use crate::upgrade::Upgrades;

/// Where a request goes, or why it goes nowhere. [`Ingress`] gives one to every request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival(pub Result<RouteId, Problem>);

impl Default for Arrival {
    /// Nowhere.
    fn default() -> Self {
        Self(Err(Problem::NoRoute))
    }
}

/// Makes requests plain for the service inside it.
#[derive(Clone, Debug)]
pub struct Ingress<S> {
    inner: S,
    rules: Arc<Rules>,
    peer: Option<Peer>,
    /// Whether the peer is in a network whose callers are believed.
    within: bool,
    /// The host that its last request named.
    known: KnownHost,
}

#[derive(Debug)]
struct Rules {
    routes: Routes,
    forwarded: ForwardedPolicy,
    limits: UploadLimits,
    believed: Networks,
    untraced: Option<Untraced>,
    upgrades: Upgrades,
    clock: Clock,
}

impl<S> Ingress<S> {
    /// In front of `inner`, by the rules of a configuration and what its routes let pass of `upgrades`; where nobody
    /// records spans, traces end as `untraced` says. Uploads are timed by `clock`.
    pub(crate) fn new(
        inner: S,
        config: &Config,
        upgrades: Upgrades,
        untraced: Option<Untraced>,
        clock: Clock,
    ) -> Self {
        let rules = Rules {
            routes: Routes::new(&config.routes),
            forwarded: config.forwarded.x_forwarded,
            limits: UploadLimits {
                max_bytes: config.listen.max_request_body,
                pause: config.listen.body_timeout,
            },
            believed: match &config.correlation.trust {
                Trust::Networks(networks) => networks.clone(),
                Trust::Edge | Trust::Internal => Networks::default(),
            },
            untraced,
            upgrades,
            clock,
        };
        Self {
            inner,
            rules: Arc::new(rules),
            peer: None,
            within: false,
            known: KnownHost::default(),
        }
    }

    /// The same for the requests of one connection. Without a peer nothing is claimed about it.
    #[must_use]
    pub fn of_peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(Peer::new(peer));
        self.within = self.rules.believed.contain(peer);
        self
    }
}

impl Rules {
    fn admit(
        &self,
        mut request: Request<Incoming>,
        peer: Option<&Peer>,
        within: bool,
        known: &mut KnownHost,
    ) -> Request<RequestBody> {
        let routed = self.route(&mut request, known).or_else(|problem| {
            if problem != Problem::ConnectRefused {
                return Err(problem);
            }
            let route = |request: &mut _| self.route(request, known);
            self.upgrades.extended(&mut request, route)
        });
        if within {
            request.extensions_mut().insert(FromWithin);
        }
        let asked = (routed.ok()).and_then(|route| self.upgrades.asked(&mut request, route));
        let prepared = headers::prepare_request(request.headers_mut(), self.forwarded, peer);
        if let Some(asked) = asked {
            asked.of(&mut request);
        }
        if prepared.has_trace
            && let Some(untraced) = &self.untraced
        {
            untraced.end_trace(&mut request);
        }
        let limits = self.limits;
        let verdict = routed.and_then(|route| {
            if !prepared.is_readable {
                return Err(Problem::UnknownCoding);
            }
            RequestBody::check(request.body(), limits).map(|()| route)
        });
        let slot = if request.body().is_end_stream() {
            None
        } else {
            request.extensions_mut().remove()
        };
        let (head, incoming) = request.into_parts();
        let body = match verdict {
            Ok(_) => RequestBody::new(incoming, limits, slot, &self.clock),
            Err(_) => RequestBody::empty(),
        };
        Request::from_parts(head, body.bound(Arrival(verdict)))
    }

    fn route(
        &self,
        request: &mut Request<Incoming>,
        known: &mut KnownHost,
    ) -> Result<RouteId, Problem> {
        target::normalize(request, known)?;
        self.routes.of(request).ok_or(Problem::NoRoute)
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
        let (peer, known) = (self.peer.as_ref(), &mut self.known);
        let request = self.rules.admit(request, peer, self.within, known);
        // Not touched between the two: it is moved once less.
        self.inner.call(request)
    }
}
