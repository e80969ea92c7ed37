//! On which side of a call it was measured: by that its families are named and labelled.

use std::borrow::Cow;

use buttress_core::metric::Label;
use http::Uri;

use super::names::{CALLS, CLIENT, Names, SERVER};
use crate::series::status_class;
use crate::view::SeriesSnapshot;

/// On which side of a call it was measured.
#[derive(Clone, Copy)]
pub(super) enum Side<'a> {
    /// HTTP requests that were served.
    Server,
    /// HTTP requests that were sent to the endpoints of this pool.
    Client(&'a str),
    /// Calls to services of any kind.
    Calls,
}

impl Side<'_> {
    pub(super) const fn names(self) -> &'static Names {
        match self {
            Self::Server => &SERVER,
            Self::Client(_) => &CLIENT,
            Self::Calls => &CALLS,
        }
    }

    /// The labels of a series.
    pub(super) fn of_series(self, series: &SeriesSnapshot) -> Vec<Label> {
        let mut labels = match self {
            Self::Server => vec![
                ("http_request_method", method(series)),
                ("url_scheme", Cow::Borrowed(series.scheme.unwrap_or(OTHER))),
            ],
            Self::Client(_) => Vec::new(),
            Self::Calls => vec![
                ("name", owned(&series.route)),
                ("outcome", Cow::Borrowed(series.outcome)),
            ],
        };
        if !matches!(self, Self::Calls) {
            labels.extend(self.of_route(&series.route));
        }
        if let Self::Client(_) = self {
            labels.push(("http_request_method", method(series)));
        }
        let status = series.status.map(|status| owned(status.as_str()));
        labels.extend(status.map(|status| ("http_response_status_code", status)));
        let error = series.error_type.as_deref().map(owned);
        labels.extend(error.map(|error| ("error_type", error)));
        labels
    }

    /// The labels of a route, a name or an endpoint.
    pub(super) fn of_route(self, route: &str) -> Vec<Label> {
        match self {
            Self::Server if route.is_empty() => Vec::new(),
            Self::Server => vec![("http_route", owned(route))],
            Self::Client(pool) => of_endpoint(pool, route),
            Self::Calls => vec![("name", owned(route))],
        }
    }

    /// What rolling quantiles are told apart by.
    pub(super) fn of_quantiles(self, series: &SeriesSnapshot) -> Vec<Label> {
        let class = ("status_class", Cow::Borrowed(status_class(series.status)));
        match self {
            Self::Server => vec![("route", owned(&series.route)), class],
            Self::Client(pool) => vec![
                ("pool", owned(pool)),
                ("endpoint", owned(&series.route)),
                class,
            ],
            Self::Calls => vec![("name", owned(&series.route))],
        }
    }
}

const OTHER: &str = "_OTHER";

fn method(series: &SeriesSnapshot) -> Cow<'static, str> {
    Cow::Borrowed(series.method.unwrap_or(OTHER))
}

fn owned(value: &str) -> Cow<'static, str> {
    Cow::Owned(value.to_owned())
}

/// Its pool and its identity, and the server that the conventions ask for where that is what identifies
/// it.
fn of_endpoint(pool: &str, endpoint: &str) -> Vec<Label> {
    let mut labels = vec![("pool", owned(pool)), ("endpoint", owned(endpoint))];
    if let Some((host, port)) = server(endpoint) {
        labels.push(("server_address", Cow::Owned(host)));
        labels.push(("server_port", Cow::Owned(port.to_string())));
    }
    labels
}

/// Host and port of an authority or a URI.
fn server(endpoint: &str) -> Option<(String, u16)> {
    let uri: Uri = endpoint.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    let port = match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("http")) => 80,
        (None, Some("https")) => 443,
        (None, _) => return None,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_an_address_is_a_server() {
        let cases = [
            ("127.0.0.1:9001", Some(("127.0.0.1", 9001))),
            ("http://shop.internal/", Some(("shop.internal", 80))),
            ("https://shop.internal", Some(("shop.internal", 443))),
            ("http://[::1]:8080", Some(("::1", 8080))),
            ("blue", None),
            ("", None),
            ("not an address", None),
        ];
        for (endpoint, expected) in cases {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(server(endpoint), expected, "{endpoint}");
        }
    }
}
