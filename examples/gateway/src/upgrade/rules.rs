//! What each route lets its clients change to.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;

use buttress::core::rng::Rng;

use super::pump::Limits;
use super::{Asked, Tunnels, extended};
use crate::config::{Listen, Route, RouteUpgrade};
use crate::problem::Problem;
use crate::routes::RouteId;

/// What all routes let pass, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Upgrades {
    routes: Vec<Option<Arc<Allowed>>>,
    rng: Rng,
}

/// What one route lets pass.
#[derive(Debug)]
pub(super) struct Allowed {
    protocols: Vec<HeaderValue>,
    idle: Duration,
    half: Duration,
    write: Duration,
    pub(super) tunnels: Tunnels,
}

impl Upgrades {
    /// What the configuration says of its `routes`, whose tunnels are counted in `tunnels`, and of clients.
    pub(crate) fn new<'a>(
        listen: &Listen,
        routes: impl IntoIterator<Item = (&'a Route, Option<&'a Tunnels>)>,
        rng: Rng,
    ) -> Self {
        let allowed = |(route, tunnels): (&Route, Option<&Tunnels>)| {
            let tunnels = tunnels?.clone();
            (route.upgrade.as_ref()).map(|upgrade| Arc::new(Allowed::new(upgrade, listen, tunnels)))
        };
        Self {
            routes: routes.into_iter().map(allowed).collect(),
            rng,
        }
    }

    /// Makes an extended `CONNECT` the handshake over HTTP/1.1 that asks for the same, on the way that `route` finds for it.
    #[cold]
    pub(crate) fn extended(
        &self,
        request: &mut Request<Incoming>,
        route: impl FnOnce(&mut Request<Incoming>) -> Result<RouteId, Problem>,
    ) -> Result<RouteId, Problem> {
        let protocol = extended::taken(request).ok_or(Problem::ConnectRefused)?;
        let route = route(request)?;
        let allowed = self.routes.get(route.0).and_then(Option::as_ref);
        if allowed.and_then(|it| it.protocol(&protocol)).is_none() {
            return Err(Problem::ConnectRefused);
        }
        extended::ask(request.headers_mut(), protocol, &self.rng);
        Ok(route)
    }

    /// What a request on its way to `route` asks its connection to become, if that may be. It has to be asked
    /// before the headers of this hop are gone.
    #[inline]
    pub(crate) fn asked(&self, request: &mut Request<Incoming>, route: RouteId) -> Option<Asked> {
        // There is none but where HTTP/1.1 carries an `Upgrade`, or a CONNECT.
        let client = request.extensions_mut().remove()?;
        self.allowed(client, request, route)
    }

    #[cold]
    fn allowed(
        &self,
        client: OnUpgrade,
        request: &mut Request<Incoming>,
        route: RouteId,
    ) -> Option<Asked> {
        let allowed = self.routes.get(route.0)?.as_ref()?;
        let is_plain = request.method() == Method::GET && request.body().is_end_stream();
        if !is_plain || !is_to_be_upgraded(request.headers()) {
            return None;
        }
        let protocol = allowed.protocol(only(request.headers())?)?;
        let stream = request.extensions_mut().remove();
        Some(Asked::new(client, stream, protocol, Arc::clone(allowed)))
    }
}

impl Allowed {
    fn new(upgrade: &RouteUpgrade, listen: &Listen, tunnels: Tunnels) -> Self {
        let protocols = upgrade.protocols.iter();
        Self {
            // The configuration takes nothing that is no header's value.
            protocols: protocols
                .filter_map(|protocol| HeaderValue::from_str(protocol).ok())
                .collect(),
            idle: upgrade.idle,
            half: upgrade.idle.min(listen.idle_timeout),
            write: listen.write_timeout,
            tunnels,
        }
    }

    /// Towards an upstream that may take nothing for as long as `upstream`.
    pub(super) const fn limits(&self, upstream: Duration) -> Limits {
        Limits {
            idle: self.idle,
            half: self.half,
            client: self.write,
            upstream,
        }
    }

    /// The protocol of that name, as the configuration writes it.
    fn protocol(&self, name: &HeaderValue) -> Option<HeaderValue> {
        let mut all = self.protocols.iter();
        all.find(|protocol| is_same(protocol, name.as_bytes()))
            .cloned()
    }
}

/// Names of protocols are the same in any case (RFC 9110 §7.8).
pub(super) fn is_same(one: &HeaderValue, other: &[u8]) -> bool {
    one.as_bytes().eq_ignore_ascii_case(other.trim_ascii())
}

/// The value of `Upgrade`, where there is exactly one.
pub(super) fn only(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(UPGRADE).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether `Connection` says `upgrade`, and not that it is to end (RFC 9112 §9.6).
fn is_to_be_upgraded(headers: &HeaderMap) -> bool {
    let says = |option: &[u8]| {
        let values = headers.get_all(CONNECTION).iter();
        values
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .any(|said| said.trim_ascii().eq_ignore_ascii_case(option))
    };
    says(b"upgrade") && !says(b"close")
}
