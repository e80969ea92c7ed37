//! What each route lets its clients change to.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;

use super::{Asked, Tunnels};
use crate::config::{Route, RouteUpgrade};
use crate::routes::RouteId;

/// What all routes let pass, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Upgrades(Vec<Option<Arc<Allowed>>>);

/// What one route lets pass.
#[derive(Debug)]
pub(super) struct Allowed {
    protocols: Vec<HeaderValue>,
    pub(super) idle: Duration,
    pub(super) tunnels: Tunnels,
}

impl Upgrades {
    /// What the configuration says of its `routes`, whose tunnels are counted in `tunnels`.
    pub(crate) fn new<'a>(
        routes: impl IntoIterator<Item = (&'a Route, Option<&'a Tunnels>)>,
    ) -> Self {
        let allowed = |(route, tunnels): (&Route, Option<&Tunnels>)| {
            let tunnels = tunnels?.clone();
            (route.upgrade.as_ref()).map(|upgrade| Arc::new(Allowed::new(upgrade, tunnels)))
        };
        Self(routes.into_iter().map(allowed).collect())
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
        request: &Request<Incoming>,
        route: RouteId,
    ) -> Option<Asked> {
        let allowed = self.0.get(route.0)?.as_ref()?;
        let is_plain = request.method() == Method::GET && request.body().is_end_stream();
        if !is_plain || !connection_says_upgrade(request.headers()) {
            return None;
        }
        let protocol = allowed.protocol(only(request.headers())?)?;
        Some(Asked::new(client, protocol, Arc::clone(allowed)))
    }
}

impl Allowed {
    fn new(upgrade: &RouteUpgrade, tunnels: Tunnels) -> Self {
        let protocols = upgrade.protocols.iter();
        Self {
            // The configuration takes nothing that is no header's value.
            protocols: protocols
                .filter_map(|protocol| HeaderValue::from_str(protocol).ok())
                .collect(),
            idle: upgrade.idle,
            tunnels,
        }
    }

    /// The protocol of that name, as the configuration writes it.
    fn protocol(&self, name: &HeaderValue) -> Option<HeaderValue> {
        let mut all = self.protocols.iter();
        all.find(|protocol| is_same(protocol, name)).cloned()
    }
}

/// Names of protocols are the same in any case (RFC 9110 §7.8).
pub(super) fn is_same(one: &HeaderValue, other: &HeaderValue) -> bool {
    one.as_bytes()
        .eq_ignore_ascii_case(other.as_bytes().trim_ascii())
}

/// The value of `Upgrade`, where there is exactly one.
pub(super) fn only(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(UPGRADE).iter();
    values.next().filter(|_| values.next().is_none())
}

fn connection_says_upgrade(headers: &HeaderMap) -> bool {
    let options = headers.get_all(CONNECTION).iter();
    options
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}
