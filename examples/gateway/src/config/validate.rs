//! From the file as written to a [`Config`] that cannot be wrong, with every problem noted.

mod checks;
mod discover;
mod endpoints;
mod observed;
mod pools;
mod routes;
mod split;
mod upgrade;

use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::time::Duration;

use buttress::correlation::Hosts;
use serde_spanned::Spanned;

use super::raw::TimeText;
use super::report::{ConfigError, Report};
use super::{
    Admin, Config, Correlation, Forwarded, ForwardedPolicy, HostPolicy, Listen, Metrics, Trace,
    raw, values,
};

/// Parses and checks a file's text.
pub(super) fn parse(file: &str, source: &str) -> Result<Config, ConfigError> {
    let mut report = Report::new(file, source);
    let config = report
        .read::<raw::File>()
        .map(|raw| check(&raw, &mut report));
    report.finish(config)
}

fn check(raw: &raw::File, report: &mut Report<'_>) -> Config {
    let pools = pools::check(&raw.pool, report);
    let routes = routes::check(&raw.route, &raw.pool, report);
    let config = Config {
        listen: listen(&raw.listen, report),
        admin: admin(&raw.admin, report),
        log: observed::log(&raw.log, report),
        audit: observed::audit(&raw.audit, report),
        trace: trace(&raw.trace, report),
        metrics: metrics(&raw.metrics, report),
        forwarded: forwarded(raw.forwarded.host.as_ref(), &raw.forwarded, report),
        correlation: correlation(&raw.correlation, report),
        pools,
        routes,
    };
    apart(raw, &config, report);
    config
}

/// The two listeners cannot share an address, nor one of them a port of all addresses with the other.
fn apart(raw: &raw::File, config: &Config, report: &mut Report<'_>) {
    let (public, admin) = (config.listen.address, config.admin.address);
    if public.port() == 0 || public.port() != admin.port() {
        return;
    }
    let all = |one: SocketAddr, other: SocketAddr| {
        // All of IPv6 is all of IPv4 as well.
        one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4())
    };
    if public.ip() != admin.ip() && !all(public, admin) && !all(admin, public) {
        return;
    }
    let message = format!(
        "the admin listener's {admin} is taken by {public}, where clients connect; give one of them another port"
    );
    let (written, key) = match (&raw.admin.address, &raw.listen.address) {
        (None, Some(listen)) => (Some(listen), "listen.address"),
        (admin, _) => (admin.as_ref(), "admin.address"),
    };
    match written {
        Some(written) => report.add(written.span(), key, message),
        None => report.add_without_place(key, message),
    }
}

fn listen(raw: &raw::Listen, report: &mut Report<'_>) -> Listen {
    let default = Listen::default();
    let max_connections = count(
        raw.max_connections.as_ref(),
        "listen.max_connections",
        report,
    );
    let max_request_body = raw.max_request_body.as_ref().map(|value| {
        values::bytes(value.get_ref())
            .map_err(|m| report.add(value.span(), "listen.max_request_body", m))
    });
    let mut wait = |text: &Option<Spanned<TimeText>>, key, default| {
        duration(text.as_ref(), key, report).unwrap_or(default)
    };
    let [
        header_timeout,
        idle_timeout,
        body_timeout,
        write_timeout,
        lame_duck,
        drain_deadline,
    ] = [
        wait(
            &raw.header_timeout,
            "listen.header_timeout",
            default.header_timeout,
        ),
        wait(
            &raw.idle_timeout,
            "listen.idle_timeout",
            default.idle_timeout,
        ),
        wait(
            &raw.body_timeout,
            "listen.body_timeout",
            default.body_timeout,
        ),
        wait(
            &raw.write_timeout,
            "listen.write_timeout",
            default.write_timeout,
        ),
        wait(&raw.lame_duck, "listen.lame_duck", default.lame_duck),
        wait(
            &raw.drain_deadline,
            "listen.drain_deadline",
            default.drain_deadline,
        ),
    ];
    Listen {
        address: address(raw.address.as_ref(), "listen.address", report).unwrap_or(default.address),
        max_connections: max_connections.map_or(default.max_connections, |n| n.get() as usize),
        header_timeout,
        idle_timeout,
        body_timeout,
        write_timeout,
        max_request_body: max_request_body
            .and_then(Result::ok)
            .unwrap_or(default.max_request_body),
        lame_duck,
        drain_deadline,
    }
}

fn admin(raw: &raw::Admin, report: &mut Report<'_>) -> Admin {
    let default = Admin::default().address;
    Admin {
        address: address(raw.address.as_ref(), "admin.address", report).unwrap_or(default),
        changes: raw.changes,
    }
}

fn trace(raw: &raw::Trace, report: &mut Report<'_>) -> Trace {
    let endpoint = collector(raw.otlp_endpoint.as_ref(), "trace.otlp_endpoint", report);
    let ratio = ratio(raw.sample_ratio.as_ref(), "trace.sample_ratio", report);
    let slow = raw.keep_slower_than.as_ref();
    let slow = duration(slow, "trace.keep_slower_than", report);
    let default = Trace::default();
    Trace {
        otlp_endpoint: endpoint,
        sample_ratio: ratio.unwrap_or(default.sample_ratio),
        keep_failed: raw.keep_failed.unwrap_or(default.keep_failed),
        keep_slower_than: slow.unwrap_or(default.keep_slower_than),
    }
}

fn metrics(raw: &raw::Metrics, report: &mut Report<'_>) -> Metrics {
    let endpoint = collector(raw.otlp_endpoint.as_ref(), "metrics.otlp_endpoint", report);
    let every = duration(raw.push_every.as_ref(), "metrics.push_every", report);
    Metrics {
        otlp_endpoint: endpoint,
        push_every: every.unwrap_or(Metrics::default().push_every),
    }
}

fn collector(
    written: Option<&Spanned<String>>,
    key: &'static str,
    report: &mut Report<'_>,
) -> Option<String> {
    let text = written?;
    if !is_collector(text.get_ref()) {
        let message = format!(
            "\"{}\" is not a collector's address; write one such as \"http://127.0.0.1:4317\"",
            text.get_ref()
        );
        report.add(text.span(), key, message);
    }
    Some(text.get_ref().clone())
}

/// An address that spans and metrics can be sent to in the clear: there is no TLS in this build.
fn is_collector(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/");
        let named = uri.host().is_some_and(|host| !host.is_empty());
        plain && named && uri.query().is_none() && !text.contains('@')
    })
}

fn forwarded(
    host: Option<&Spanned<String>>,
    raw: &raw::Forwarded,
    report: &mut Report<'_>,
) -> Forwarded {
    let default = Forwarded::default();
    let hosts = [
        ("preserve", HostPolicy::Preserve),
        ("upstream", HostPolicy::Upstream),
    ];
    let policies = [
        ("replace", ForwardedPolicy::Replace),
        ("append", ForwardedPolicy::Append),
        ("drop", ForwardedPolicy::Drop),
    ];
    Forwarded {
        host: choice(host, "forwarded.host", &hosts, report).unwrap_or(default.host),
        x_forwarded: choice(
            raw.x_forwarded.as_ref(),
            "forwarded.x_forwarded",
            &policies,
            report,
        )
        .unwrap_or(default.x_forwarded),
    }
}

fn correlation(raw: &raw::Correlation, report: &mut Report<'_>) -> Correlation {
    let trust = raw.trust.as_ref().and_then(|value| {
        values::trust(value.get_ref())
            .map_err(|message| report.add(value.span(), "correlation.trust", message))
            .ok()
    });
    let hosts = raw.hosts.as_ref().and_then(|hosts| {
        Hosts::only(hosts.get_ref())
            .map_err(|error| {
                report.add(
                    hosts.span(),
                    "correlation.hosts",
                    error.problem().to_owned(),
                );
            })
            .ok()
    });
    Correlation {
        trust: trust.unwrap_or_default(),
        hosts: hosts.unwrap_or_default(),
    }
}

// === values with their place ===

fn duration(
    text: Option<&Spanned<TimeText>>,
    key: &str,
    report: &mut Report<'_>,
) -> Option<Duration> {
    let text = text?;
    values::duration(text.get_ref().as_str())
        .map_err(|m| report.add(text.span(), key, m))
        .ok()
}

/// As [`duration`], and 0 is one as well.
fn duration_or_zero(
    text: Option<&Spanned<TimeText>>,
    key: &str,
    report: &mut Report<'_>,
) -> Option<Duration> {
    let text = text?;
    values::duration_or_zero(text.get_ref().as_str())
        .map_err(|m| report.add(text.span(), key, m))
        .ok()
}

fn count(number: Option<&Spanned<i64>>, key: &str, report: &mut Report<'_>) -> Option<NonZeroU32> {
    let number = number?;
    let read = u32::try_from(*number.get_ref())
        .ok()
        .and_then(NonZeroU32::new);
    if read.is_none() {
        let message = format!(
            "{} is not a count; write a number from 1 to {}",
            number.get_ref(),
            u32::MAX
        );
        report.add(number.span(), key, message);
    }
    read
}

fn ratio(number: Option<&Spanned<f64>>, key: &str, report: &mut Report<'_>) -> Option<f64> {
    let number = number?;
    let value = *number.get_ref();
    if (0.0..=1.0).contains(&value) {
        return Some(value);
    }
    report.add(
        number.span(),
        key,
        format!("{value} is not a ratio; write a number from 0 to 1"),
    );
    None
}

fn choice<T: Copy>(
    text: Option<&Spanned<String>>,
    key: &str,
    choices: &[(&str, T)],
    report: &mut Report<'_>,
) -> Option<T> {
    let text = text?;
    let found = choices.iter().find(|(name, _)| name == text.get_ref());
    if found.is_none() {
        let names: Vec<String> = choices
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let message = format!(
            "\"{}\" is not known; write {}",
            text.get_ref(),
            names.join(" or ")
        );
        report.add(text.span(), key, message);
    }
    found.map(|(_, value)| *value)
}

fn address(
    text: Option<&Spanned<String>>,
    key: &str,
    report: &mut Report<'_>,
) -> Option<SocketAddr> {
    let text = text?;
    let resolved = values::host_port(text.get_ref()).and_then(|_| resolve(text.get_ref()));
    resolved
        .map_err(|m| report.add(text.span(), key, m))
        .ok()?
        .first()
        .copied()
}

fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let advice = "check the name, or write an IP address";
    match address.to_socket_addrs().map(Iterator::collect::<Vec<_>>) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("\"{address}\" resolves to no address; {advice}")),
        Err(error) => Err(format!(
            "\"{address}\" does not resolve ({error}); {advice}"
        )),
    }
}

/// The key that problems inside a table are reported under: with its name, if it can be called that.
fn key_of(kind: &str, index: usize, name: &str) -> String {
    match values::name(name) {
        Ok(()) => format!("{kind}.{name}"),
        Err(_) => format!("{kind}[{index}]"),
    }
}

/// The name of a table, and the key that problems inside it are reported under.
fn named(
    kind: &str,
    index: usize,
    name: Option<&Spanned<String>>,
    place: std::ops::Range<usize>,
    report: &mut Report<'_>,
) -> (String, String) {
    let Some(name) = name else {
        let key = format!("{kind}[{index}].name");
        report.add(
            place,
            &key,
            format!("a {kind} needs a name; add name = \"…\""),
        );
        return (String::new(), format!("{kind}[{index}]"));
    };
    let text = name.get_ref();
    if let Err(message) = values::name(text) {
        report.add(name.span(), &format!("{kind}[{index}].name"), message);
    }
    (text.clone(), key_of(kind, index, text))
}
