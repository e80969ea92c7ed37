//! `upgrade` of a `[[route]]`: protocols that may pass, towards endpoints that can be asked for them.

use serde_spanned::Spanned;

use super::super::report::Report;
use super::super::{RouteUpgrade, raw};
use super::duration;

pub(super) fn check(
    route: &raw::Route,
    pools: &[Spanned<raw::Pool>],
    route_key: &str,
    report: &mut Report<'_>,
) -> Option<RouteUpgrade> {
    let (key, idle_key) = (
        format!("{route_key}.upgrade"),
        format!("{route_key}.upgrade_idle"),
    );
    let idle = duration(route.upgrade_idle.as_ref(), &idle_key, report);
    let written = route.upgrade.as_ref();
    let Some(written) = written.filter(|it| !it.get_ref().is_empty()) else {
        if let Some(idle) = &route.upgrade_idle {
            let message = "nothing is let pass that could idle; add upgrade = [\"websocket\"], or leave it out";
            report.add(idle.span(), &idle_key, message);
        }
        return None;
    };
    for (index, protocol) in written.get_ref().iter().enumerate() {
        let mut before = written.get_ref().iter().take(index);
        if let Err(message) = passable(protocol.get_ref()) {
            report.add(protocol.span(), &key, message);
        } else if before.any(|it| it.get_ref() == protocol.get_ref()) {
            let message = format!("\"{}\" is named twice; leave one out", protocol.get_ref());
            report.add(protocol.span(), &key, message);
        }
    }
    if let Some(pool) = over_http2(route, pools) {
        let message = format!(
            "pool \"{pool}\" speaks h2, where a connection cannot change; lead the route to a pool with \
             protocol = \"http1\""
        );
        report.add(written.span(), &key, message);
    }
    let protocols = written.get_ref().iter().map(|it| it.get_ref().clone());
    Some(RouteUpgrade {
        protocols: protocols.collect(),
        idle: idle.unwrap_or(RouteUpgrade::DEFAULT_IDLE),
    })
}

/// A name, perhaps with a version (RFC 9110 §7.8), of what is not HTTP again: none of the gateway's rules
/// would hold inside.
fn passable(protocol: &str) -> Result<(), String> {
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
    let (name, version) = protocol
        .split_once('/')
        .map_or((protocol, None), |(name, version)| (name, Some(version)));
    if name.contains('*') || !is_token(name) || !version.is_none_or(is_token) {
        return Err(format!(
            "\"{protocol}\" is not a protocol; write a name such as \"websocket\""
        ));
    }
    let lower = protocol.to_ascii_lowercase();
    if lower != protocol {
        return Err(format!("write \"{lower}\", which is the same in any case"));
    }
    // With drafts of their own (h2c-14) and whatever is HTTP inside (https).
    if name == "tls"
        || ["h2", "h3", "http"]
            .iter()
            .any(|http| name.starts_with(http))
    {
        return Err(format!(
            "\"{protocol}\" carries requests past the gateway's routes, limits and headers, so it does not pass; \
             for HTTP/2 towards endpoints set the pool's protocol to \"h2\""
        ));
    }
    Ok(())
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// The first pool that the route leads to where HTTP/2 is spoken.
fn over_http2<'p>(route: &'p raw::Route, pools: &[Spanned<raw::Pool>]) -> Option<&'p str> {
    let canary = route.split.as_ref();
    let canary = canary.and_then(|split| split.get_ref().canary.as_ref());
    let speaks_http2 = |name: &&Spanned<String>| {
        pools.iter().map(Spanned::get_ref).any(|pool| {
            let is_it = pool.name.as_ref().map(Spanned::get_ref) == Some(name.get_ref());
            is_it
                && pool
                    .protocol
                    .as_ref()
                    .is_some_and(|it| it.get_ref() == "h2")
        })
    };
    let mut led_to = route.pool.iter().chain(canary);
    led_to
        .find(speaks_http2)
        .map(|name| name.get_ref().as_str())
}
