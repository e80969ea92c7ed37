//! Which route a request takes: its host first, then the longest path prefix.
//!
//! The table is sorted once, so that the first entry that matches is the right one; a look-up
//! walks it and allocates nothing. Routes come from the configuration, so the walk is as long as
//! somebody wrote it, never as long as a client wants it.

use std::net::Ipv6Addr;

use http::Request;

use crate::config;
use crate::target;

/// A route, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub usize);

/// All routes, sorted for matching.
#[derive(Clone, Debug)]
pub struct Routes {
    entries: Vec<Entry>,
    /// Whether any route asks for the host; where none does it is not read.
    by_host: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    host: Option<Host>,
    prefix: String,
    id: RouteId,
}

/// A host that a route asks for.
#[derive(Clone, Debug)]
enum Host {
    Name(String),
    /// Which has many spellings.
    Address(Ipv6Addr),
}

impl Host {
    fn of(written: &str) -> Self {
        let name = || Self::Name(written.to_owned());
        target::address(written).map_or_else(name, Self::Address)
    }

    fn is(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => name.eq_ignore_ascii_case(host),
            Self::Address(address) => target::address(host) == Some(*address),
        }
    }
}

impl Routes {
    /// The table for a configuration's routes.
    pub fn new(routes: &[config::Route]) -> Self {
        let entry = |(index, route): (usize, &config::Route)| Entry {
            host: route.host.as_deref().map(Host::of),
            prefix: route.path_prefix.clone(),
            id: RouteId(index),
        };
        let mut entries: Vec<Entry> = routes.iter().enumerate().map(entry).collect();
        // A host named outranks any host; a longer prefix outranks a shorter one.
        entries.sort_by_key(|e| (e.host.is_none(), std::cmp::Reverse(e.prefix.len())));
        let by_host = entries.iter().any(|entry| entry.host.is_some());
        Self { entries, by_host }
    }

    /// The route for a request whose target has been made plain.
    pub fn of<B>(&self, request: &Request<B>) -> Option<RouteId> {
        let host = if self.by_host {
            target::host(request)
        } else {
            ""
        };
        self.find(host, request.uri().path())
    }

    /// The route for a host (without port and the root's dot, in any case) and a path.
    pub fn find(&self, host: &str, path: &str) -> Option<RouteId> {
        let matches = |entry: &&Entry| {
            entry.host.as_ref().is_none_or(|wanted| wanted.is(host))
                && is_under(path, &entry.prefix)
        };
        self.entries.iter().find(matches).map(|entry| entry.id)
    }
}

/// Whether a path is the prefix itself or goes on below it, at a segment boundary.
fn is_under(path: &str, prefix: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Route, RouteBreaker};

    fn routes(table: &[(Option<&str>, &str)]) -> Routes {
        let route = |(host, prefix): &(Option<&str>, &str)| Route {
            name: "r".into(),
            host: host.map(Into::into),
            path_prefix: (*prefix).into(),
            pool: 0,
            upgrade: None,
            breaker: RouteBreaker::DEFAULT,
            mirror: None,
            split: None,
        };
        Routes::new(&table.iter().map(route).collect::<Vec<_>>())
    }

    #[test]
    fn the_longest_prefix_wins_whatever_the_order_in_the_file() {
        let routes = routes(&[(None, "/"), (None, "/a/b"), (None, "/a")]);
        assert_eq!(routes.find("h", "/a/b/c"), Some(RouteId(1)));
        assert_eq!(routes.find("h", "/a/b"), Some(RouteId(1)));
        assert_eq!(routes.find("h", "/a/x"), Some(RouteId(2)));
        assert_eq!(routes.find("h", "/"), Some(RouteId(0)));
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let routes = routes(&[(None, "/orders")]);
        assert_eq!(routes.find("h", "/orders"), Some(RouteId(0)));
        assert_eq!(routes.find("h", "/orders/1"), Some(RouteId(0)));
        assert_eq!(routes.find("h", "/ordersfoo"), None);
        assert_eq!(routes.find("h", "*"), None);
    }

    #[test]
    fn a_host_is_the_same_in_each_of_its_spellings() {
        let routes = routes(&[
            (None, "/"),
            (Some("shop.example"), "/"),
            (Some("[::1]"), "/"),
        ]);
        for (host, route) in [
            ("shop.example", 1),
            ("shop.example.", 1),
            ("SHOP.example.:80", 1),
            ("shop.example..", 0),
            ("[::1]:80", 2),
            ("[0:0:0:0:0:0:0:1]", 2),
            ("[0::0001]:80", 2),
            ("[::2]", 0),
        ] {
            let request = Request::builder().header("host", host).body(()).unwrap();
            assert_eq!(routes.of(&request), Some(RouteId(route)), "{host}");
        }
    }

    #[test]
    fn a_named_host_outranks_any_host() {
        let routes = routes(&[(None, "/a/very/long/prefix"), (Some("shop.example"), "/a")]);
        assert_eq!(
            routes.find("Shop.Example", "/a/very/long/prefix"),
            Some(RouteId(1))
        );
        assert_eq!(
            routes.find("other.example", "/a/very/long/prefix"),
            Some(RouteId(0))
        );
        assert_eq!(routes.find("other.example", "/a"), None);
        assert_eq!(routes.find("", "/a"), None);
    }
}
