//! `[[route]]`: every route leads to a pool, and no two claim the same requests.

use buttress::route::mirror;
use serde_spanned::Spanned;

use super::super::report::Report;
use super::super::{FailureRate, Route, RouteBreaker, RouteMirror, raw};
use super::{count, duration, named, ratio, split, upgrade};
use crate::settings;
use crate::target;

pub(super) fn check(
    routes: &[Spanned<raw::Route>],
    pools: &[Spanned<raw::Pool>],
    report: &mut Report<'_>,
) -> Vec<Route> {
    if routes.is_empty() {
        report.add_without_place(
            "route",
            "there is no route; add a [[route]] that names a pool",
        );
    }
    let mut checked: Vec<Route> = Vec::with_capacity(routes.len());
    for (index, raw) in routes.iter().enumerate() {
        let route = route(index, raw, pools, report);
        differs(index, raw, &route, &checked, report);
        if let Some(refused) = settings::breaker(&route.breaker).validate().err() {
            let path = format!("breaker.{}", key_of(refused.field()));
            let key = format!("{}.{path}", super::key_of("route", index, &route.name));
            // What is wrong already is not told twice.
            if !report.tells_of(&key) {
                report.add_in(("route", index, &path), &key, refused.problem());
            }
        }
        checked.push(route);
    }
    checked
}

/// The key that says what the breaker calls `field`.
fn key_of(field: &str) -> &str {
    match field {
        "max_probes" => "probes",
        _ if field.starts_with("open_for") => "open_for",
        _ => field.strip_prefix("rules.").unwrap_or(field),
    }
}

fn differs(
    index: usize,
    raw: &Spanned<raw::Route>,
    route: &Route,
    before: &[Route],
    report: &mut Report<'_>,
) {
    let place = |text: &Option<Spanned<String>>| text.as_ref().map_or(raw.span(), Spanned::span);
    if before
        .iter()
        .any(|other| other.name == route.name && !route.name.is_empty())
    {
        let message = format!(
            "a route named \"{}\" came before; names have to differ",
            route.name
        );
        report.add(
            place(&raw.get_ref().name),
            &format!("route[{index}].name"),
            message,
        );
    }
    let same = |other: &&Route| other.host == route.host && other.path_prefix == route.path_prefix;
    if let Some(other) = before.iter().find(same) {
        let message = format!(
            "route \"{}\" has the same host and path prefix \"{}\"; only one of them can be taken",
            other.name, route.path_prefix
        );
        report.add(
            place(&raw.get_ref().path_prefix),
            &format!("route[{index}].path_prefix"),
            message,
        );
    }
}

fn route(
    index: usize,
    raw: &Spanned<raw::Route>,
    pools: &[Spanned<raw::Pool>],
    report: &mut Report<'_>,
) -> Route {
    let place = raw.span();
    let raw = raw.get_ref();
    let (name, key) = named("route", index, raw.name.as_ref(), place.clone(), report);
    let pool = if let Some(written) = &raw.pool {
        pool_index(written, pools, &format!("{key}.pool"), report)
    } else {
        let message = "a route needs a pool; add pool = \"…\"";
        report.add(place, &format!("{key}.pool"), message);
        0
    };
    Route {
        name,
        host: host(raw.host.as_ref(), &key, report),
        path_prefix: path_prefix(raw.path_prefix.as_ref(), &key, report),
        pool,
        upgrade: upgrade::check(raw, pools, &key, report),
        breaker: breaker(&raw.breaker, &key, report),
        mirror: raw
            .mirror
            .as_ref()
            .map(|written| mirror(written, raw, pools, &key, report)),
        split: raw
            .split
            .as_ref()
            .map(|written| split::check(written, raw, pools, (index, &key), report)),
    }
}

fn mirror(
    written: &Spanned<raw::Mirror>,
    route: &raw::Route,
    pools: &[Spanned<raw::Pool>],
    key: &str,
    report: &mut Report<'_>,
) -> RouteMirror {
    let (key, raw) = (format!("{key}.mirror"), written.get_ref());
    let pool = match &raw.pool {
        None => {
            let message = "a mirror needs a pool; add pool = \"…\"";
            report.add(written.span(), &format!("{key}.pool"), message);
            0
        }
        Some(pool) if is_own(pool, route) => {
            let message = "copies would go where the requests go; name another pool";
            report.add(pool.span(), &format!("{key}.pool"), message);
            0
        }
        Some(pool) => pool_index(pool, pools, &format!("{key}.pool"), report),
    };
    let defaults = mirror::Config::default();
    let most = count(
        raw.max_in_flight.as_ref(),
        &format!("{key}.max_in_flight"),
        report,
    );
    let share = ratio(raw.share.as_ref(), &format!("{key}.share"), report);
    let timeout = duration(raw.timeout.as_ref(), &format!("{key}.timeout"), report);
    RouteMirror {
        pool,
        share: share.unwrap_or(defaults.share),
        max_in_flight: most.map_or(defaults.max_in_flight, |most| most.get() as usize),
        timeout: timeout.unwrap_or(defaults.timeout),
    }
}

/// Whether that is the name of the route's own pool.
pub(super) fn is_own(pool: &Spanned<String>, route: &raw::Route) -> bool {
    let own = route.pool.as_ref();
    own.is_some_and(|own| own.get_ref() == pool.get_ref())
}

pub(super) fn pool_index(
    written: &Spanned<String>,
    pools: &[Spanned<raw::Pool>],
    key: &str,
    report: &mut Report<'_>,
) -> usize {
    let names = || {
        pools
            .iter()
            .map(|p| p.get_ref().name.as_ref().map(Spanned::get_ref))
    };
    let index = names().position(|name| name == Some(written.get_ref()));
    index.unwrap_or_else(|| {
        let known: Vec<String> = names()
            .flatten()
            .map(|name| format!("\"{name}\""))
            .collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        let message = format!(
            "there is no pool \"{}\"; there are: {known}",
            written.get_ref()
        );
        report.add(written.span(), key, message);
        0
    })
}

fn host(written: Option<&Spanned<String>>, key: &str, report: &mut Report<'_>) -> Option<String> {
    let written = written?;
    let host = target::without_root(written.get_ref()).to_ascii_lowercase();
    if !is_host(&host) {
        let message = format!(
            "\"{host}\" is not a host; write a name without scheme, port or wildcard, such as \
             \"shop.example\", or leave host out to match any"
        );
        report.add(written.span(), &format!("{key}.host"), message);
    }
    let address = target::address(&host);
    Some(address.map_or(host, |address| format!("[{address}]")))
}

/// A name of labels, or an address; IPv6 in brackets.
fn is_host(host: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
    target::address(host).is_some() || host.len() <= 253 && host.split('.').all(is_label)
}

fn path_prefix(written: Option<&Spanned<String>>, key: &str, report: &mut Report<'_>) -> String {
    let Some(written) = written else {
        return "/".to_owned();
    };
    let prefix = written.get_ref();
    let is_path = prefix
        .parse::<http::uri::PathAndQuery>()
        .is_ok_and(|path| path.query().is_none());
    if !prefix.starts_with('/') || !is_path || target::has_dot_segment(prefix) {
        let message = format!("\"{prefix}\" is not a path prefix; write one such as \"/orders\"");
        report.add(written.span(), &format!("{key}.path_prefix"), message);
    }
    // `/orders/` and `/orders` claim the same requests, and are told apart by nobody.
    match prefix.trim_end_matches('/') {
        "" => "/".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

fn breaker(raw: &raw::Breaker, route: &str, report: &mut Report<'_>) -> RouteBreaker {
    let default = RouteBreaker::DEFAULT;
    let key = |what: &str| format!("{route}.breaker.{what}");
    let in_a_row = count(
        raw.consecutive_failures.as_ref(),
        &key("consecutive_failures"),
        report,
    );
    let rate = raw.failure_rate.as_ref();
    let rate = rate.map(|rate| failure_rate(rate.get_ref(), &key("failure_rate"), report));
    let neither = in_a_row.is_none() && rate.is_none();
    RouteBreaker {
        consecutive_failures: in_a_row,
        failure_rate: if neither { default.failure_rate } else { rate },
        open_for: duration(raw.open_for.as_ref(), &key("open_for"), report)
            .unwrap_or(default.open_for),
        probes: count(raw.probes.as_ref(), &key("probes"), report).unwrap_or(default.probes),
        ramp: raw.ramp.unwrap_or(default.ramp),
    }
}

fn failure_rate(raw: &raw::FailureRate, key: &str, report: &mut Report<'_>) -> FailureRate {
    let default = FailureRate::DEFAULT;
    let share = ratio(raw.ratio.as_ref(), &format!("{key}.ratio"), report);
    if let (Some(0.0), Some(written)) = (share, raw.ratio.as_ref()) {
        let message = "0 would trip on the first success; write a share above 0, such as 0.5";
        report.add(written.span(), &format!("{key}.ratio"), message);
    }
    FailureRate {
        ratio: share.unwrap_or(default.ratio),
        min_calls: count(raw.min_calls.as_ref(), &format!("{key}.min_calls"), report)
            .unwrap_or(default.min_calls),
        window: duration(raw.window.as_ref(), &format!("{key}.window"), report)
            .unwrap_or(default.window),
    }
}
