//! What an endpoint may tell a client to change to, in a `426` (RFC 9110 §15.5.22).

use std::sync::Arc;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue};

use super::rules::is_same;
use crate::config::Route;
use crate::headers::strip_response;
use crate::routes::RouteId;

/// The protocols that each route lets pass, in the order of the configuration. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers(Arc<[Box<[HeaderValue]>]>);

impl Offers {
    /// Of these routes.
    pub(crate) fn of(routes: &[Route]) -> Self {
        let protocols = |route: &Route| {
            let named = route.upgrade.iter().flat_map(|upgrade| &upgrade.protocols);
            // The configuration takes nothing that is no header's value.
            named
                .filter_map(|protocol| HeaderValue::from_str(protocol).ok())
                .collect()
        };
        Self(routes.iter().map(protocols).collect())
    }

    /// Strips a `426`, of which the protocols that `route` lets pass are named again, in the gateway's words. Tells of its body
    /// what [`strip_response`] does.
    #[cold]
    pub(crate) fn strip(&self, route: Option<RouteId>, headers: &mut HeaderMap) -> bool {
        let allowed = route.and_then(|route| self.0.get(route.0));
        let named = allowed.and_then(|allowed| named(allowed, headers));
        let is_readable = strip_response(headers);
        if let Some(named) = named {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, named);
        }
        is_readable
    }
}

/// Those of the `allowed` that `Upgrade` names, if there are any.
fn named(allowed: &[HeaderValue], headers: &HeaderMap) -> Option<HeaderValue> {
    let offered = |protocol: &&HeaderValue| {
        let values = headers.get_all(UPGRADE).iter();
        values
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .any(|name| is_same(protocol, name))
    };
    let named = allowed.iter().filter(offered);
    let named: Vec<_> = named.map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&named.join(&b", "[..]))
        .ok()
        .filter(|named| !named.is_empty())
}
