//! To which hosts the service answers.
//!
//! A web page can give its own name the address 127.0.0.1 (DNS rebinding) and then read, in the
//! browser of whoever visits it, what listens there. The browser still names the page's host: so a
//! service on loopback answers to the names of loopback alone.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;

#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    allowed: Vec<String>,
    beyond_loopback: bool,
    any: bool,
}

impl Hosts {
    pub(crate) fn allow(&mut self, host: String) {
        self.allowed.push(host);
    }

    pub(crate) fn bound_to(&mut self, address: SocketAddr) {
        self.beyond_loopback = !address.ip().to_canonical().is_loopback();
    }

    pub(crate) fn allow_any(&mut self) {
        self.any = true;
    }

    /// Whether the request is for a host that this service answers to. Each host it names has to be:
    /// the one in its target and the one in its header.
    pub(crate) fn accept(&self, request: &Parts) -> bool {
        if self.any || (self.beyond_loopback && self.allowed.is_empty()) {
            return true;
        }
        let headers = request.headers.get_all(HOST);
        let in_headers = headers
            .iter()
            .map(|value| Authority::try_from(value.as_bytes()).ok());
        let in_target = request.uri.authority().cloned().map(Some);
        let mut named = in_target.into_iter().chain(in_headers).peekable();
        named.peek().is_some() && named.all(|host| host.is_some_and(|host| self.knows(&host)))
    }

    fn knows(&self, authority: &Authority) -> bool {
        // What stands before an `@` is no part of a host, and has no business here.
        if authority.as_str().contains('@') {
            return false;
        }
        let host = bare(authority.host());
        is_loopback(host)
            || (self.allowed.iter()).any(|allowed| bare(allowed).eq_ignore_ascii_case(host))
    }
}

/// `host` without the brackets of an IPv6 address and without the dot of the root.
fn bare(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    let inside = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inside.unwrap_or(host)
}

fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    // All names under `localhost` are loopback's (RFC 6761, section 6.3).
    let (rest, last) = host.rsplit_once('.').unwrap_or(("", host));
    last.eq_ignore_ascii_case("localhost") && !rest.ends_with('.')
}
