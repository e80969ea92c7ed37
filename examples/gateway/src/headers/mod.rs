//! Headers that end at this hop, and what upstreams are told about the client.
//!
//! Both directions are stripped *before* any layer adds a header of its own, so that a client's
//! `Connection: x-correlation-id` finds nothing of ours to erase; the names that layers set are
//! protected besides. A message is looked through once, and nothing is looked up that is not there.
//!
//! `Upgrade` is stripped like any other; where a route lets a protocol pass the gateway asks for it
//! in its own words afterwards ([`crate::upgrade`]). `Expect` is stripped because this hop answers
//! `100 Continue` itself, when the body is first read.

mod coding;
mod marks;
mod repeated;

use std::net::SocketAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, Entry, FORWARDED, HOST, SET_COOKIE, TE,
    TRAILER,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::ForwardedPolicy;
use marks::{Mark, Marks};
pub(crate) use repeated::some_repeat;

/// The header that carries the correlation ID.
pub static X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const HTTP: HeaderValue = HeaderValue::from_static("http");

/// What RFC 9110 §7.6.1 lists, beyond `Connection` and `TE`.
const LISTED: Marks = Marks::of(&[
    Mark::KeepAlive,
    Mark::ProxyConnection,
    Mark::TransferEncoding,
    Mark::Upgrade,
]);
/// What a trace is carried in.
const TRACE: Marks = Marks::of(&[Mark::Traceparent, Mark::Tracestate, Mark::Baggage]);
/// What of a request is for this hop alone, beyond what is looked into.
const OF_REQUESTS: Marks = LISTED.with(Marks::of(&[
    Mark::ProxyAuthorization,
    Mark::Http2Settings,
    Mark::Expect,
]));
/// The same of a response.
const OF_RESPONSES: Marks = LISTED.with(Marks::of(&[Mark::Te, Mark::ProxyAuthenticate]));
const LENGTH: Marks = Marks::of(&[Mark::ContentLength]);
/// What a client may claim about itself or its target, and this gateway does not repeat; and so
/// every `x-forwarded-` that it does not know.
const CLAIMED: Marks = Marks::of(&[
    Mark::Forwarded,
    Mark::XRealIp,
    Mark::XForwardedPort,
    Mark::XClientIp,
    Mark::TrueClientIp,
    Mark::XClusterClientIp,
    Mark::XOriginalUrl,
    Mark::XRewriteUrl,
]);
/// What it says in its own words, or not at all.
const OWN_WORDS: Marks = Marks::of(&[
    Mark::XForwardedFor,
    Mark::XForwardedProto,
    Mark::XForwardedHost,
]);

/// Strips a request of everything that is for this hop alone, and tells the upstream who the client
/// is, as the policy says. Without a `peer` nothing is claimed about it, and nothing changed.
///
/// Cookies that came one by one go on as one header.
///
/// Names with `_` that pass for one of these, or for a protected one, never go on.
///
/// Headers of a trace stay.
pub fn prepare_request(
    headers: &mut HeaderMap,
    policy: ForwardedPolicy,
    peer: Option<&Peer>,
) -> Prepared {
    let found = Marks::on_request(headers);
    let is_readable = is_readable(headers, found);
    found.remove_aliases(headers);
    strip_nominated(headers, found);
    keep_only_te_trailers(headers, found);
    found.remove(OF_REQUESTS, headers);
    repeated::merge(headers);
    if let Some(peer) = peer {
        forward(headers, found, policy, peer);
    }
    Prepared {
        has_trace: found.has_any(TRACE),
        is_readable,
    }
}

/// What was found in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Whether it has headers of a trace.
    pub has_trace: bool,
    /// Whether its body, if there is one, is in no transfer coding but `chunked`.
    pub is_readable: bool,
}

/// Strips a response of everything that is for this hop alone.
///
/// What is left of its framing is one `Content-Length`, or none where `Transfer-Encoding`
/// overruled it (RFC 9112 §6.3). Tells whether its body, if there is one, is in no transfer coding but `chunked`.
pub fn strip_response(headers: &mut HeaderMap) -> bool {
    let found = Marks::on_response(headers);
    let is_readable = is_readable(headers, found);
    strip_nominated(headers, found);
    found.remove(OF_RESPONSES, headers);
    if found.has(Mark::TransferEncoding) {
        found.remove(LENGTH, headers);
    } else if found.has(Mark::ContentLength) {
        repeated::keep_one_length(headers);
    }
    is_readable
}

#[inline]
fn is_readable(headers: &HeaderMap, found: Marks) -> bool {
    !found.has(Mark::TransferEncoding) || coding::is_chunked_alone(headers)
}

/// Strips the trailers of a message of what only a head may say: framing, credentials, who the client is,
/// which request this is. Whoever puts head and trailers together would take it for this gateway's word.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let is_of_head = |name: &&HeaderName| marks::is_marked_or_akin(name) || is_protected(name);
    let names: Vec<HeaderName> = trailers.keys().filter(is_of_head).cloned().collect();
    for name in names {
        trailers.remove(name);
    }
}

fn forward(headers: &mut HeaderMap, found: Marks, policy: ForwardedPolicy, peer: &Peer) {
    match policy {
        ForwardedPolicy::Append => {
            found.remove(Marks::of(&[Mark::Forwarded]), headers);
            append(headers, peer);
        }
        ForwardedPolicy::Drop => {
            found.remove(CLAIMED.with(OWN_WORDS), headers);
            found.remove_relatives(headers);
        }
        ForwardedPolicy::Replace => {
            found.remove(CLAIMED.with(OWN_WORDS), headers);
            found.remove_relatives(headers);
            say(headers, peer);
        }
    }
}

/// Where nothing of it is said. To append asks for nothing that would be replaced.
fn say(headers: &mut HeaderMap, peer: &Peer) {
    headers.append(&X_FORWARDED_FOR, peer.ip.clone());
    headers.append(&X_FORWARDED_PROTO, HTTP);
    if let Some(host) = host(headers) {
        headers.append(&X_FORWARDED_HOST, host);
    }
}

fn append(headers: &mut HeaderMap, peer: &Peer) {
    headers.append(&X_FORWARDED_FOR, peer.ip.clone());
    headers.entry(&X_FORWARDED_PROTO).or_insert(HTTP);
    if let Some(host) = host(headers) {
        headers.entry(&X_FORWARDED_HOST).or_insert(host);
    }
}

/// Most clients send it first.
fn host(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut hosts = headers.iter().filter(|(name, _)| *name == HOST);
    hosts.next().map(|(_, value)| value.clone())
}

/// Who is at the other end of a connection: its address, and the address as a header once for all
/// its requests. The server puts one into every request's extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    ip: HeaderValue,
}

impl Peer {
    /// Of a connection from `address`.
    pub fn new(address: SocketAddr) -> Self {
        // The text of an IP address holds only hex digits, dots and colons.
        let ip = HeaderValue::from_maybe_shared(address.ip().to_canonical().to_string());
        Self {
            address,
            ip: ip.unwrap_or(HeaderValue::from_static("unknown")),
        }
    }

    /// The address that connected.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Removes what `Connection` nominates, and `Connection` itself.
#[inline]
fn strip_nominated(headers: &mut HeaderMap, found: Marks) {
    if found.has(Mark::Connection) {
        strip_connection(headers);
    }
}

/// Taken out as a whole first: all its values count, and an empty first one hides nothing.
#[inline(never)]
fn strip_connection(headers: &mut HeaderMap) {
    let Entry::Occupied(entry) = headers.entry(CONNECTION) else {
        return;
    };
    // One value is the rule, and needs no room on the heap.
    let more: Vec<HeaderValue> = entry.iter().skip(1).cloned().collect();
    let first = entry.remove();
    for value in std::iter::once(&first).chain(&more) {
        for token in value.as_bytes().split(|&byte| byte == b',') {
            strip_token(headers, token.trim_ascii());
        }
    }
}

fn strip_token(headers: &mut HeaderMap, token: &[u8]) {
    // What nearly every `Connection` says: an option that names no header, or one stripped anyway.
    if token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close") {
        return;
    }
    let Ok(name) = HeaderName::from_bytes(token) else {
        return;
    };
    if !is_protected(&name) {
        headers.remove(&name);
    }
}

#[inline]
fn keep_only_te_trailers(headers: &mut HeaderMap, found: Marks) {
    if found.has(Mark::Te) {
        keep_trailers_of_te(headers);
    }
}

#[inline(never)]
fn keep_trailers_of_te(headers: &mut HeaderMap) {
    let is_trailers = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(b"trailers");
    let takes_trailers = headers.get_all(&TE).iter().any(|value| {
        value
            .as_bytes()
            .split(|&byte| byte == b',')
            .any(is_trailers)
    });
    headers.remove(&TE);
    if takes_trailers {
        headers.insert(TE, TRAILERS);
    }
}

/// Names that no `Connection` may erase: framing, routing, credentials, and what layers rely on.
fn is_protected(name: &HeaderName) -> bool {
    const STANDARD: [HeaderName; 8] = [
        HOST,
        CONTENT_LENGTH,
        AUTHORIZATION,
        COOKIE,
        SET_COOKIE,
        TE,
        TRAILER,
        FORWARDED,
    ];
    const CUSTOM: [&str; 10] = [
        "x-correlation-id",
        "x-request-id",
        "traceparent",
        "tracestate",
        "baggage",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    STANDARD.contains(name) || CUSTOM.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn every_value_of_every_connection_header_is_stripped() {
        type Row = (
            &'static [(&'static str, &'static str)],
            &'static [&'static str],
        );
        let table: &[Row] = &[
            (&[("accept", "*/*")], &["accept"]),
            (&[("connection", "close")], &[]),
            (
                &[
                    ("connection", "x-a"),
                    ("connection", "x-b"),
                    ("x-a", "1"),
                    ("x-b", "2"),
                ],
                &[],
            ),
            (
                &[("connection", ""), ("connection", "x-a"), ("x-a", "1")],
                &[],
            ),
            (
                &[
                    ("connection", "X-A ,\t x-b"),
                    ("x-a", "1"),
                    ("x-b", "2"),
                    ("x-c", "3"),
                ],
                &["x-c"],
            ),
            (&[("connection", "x-a"), ("x-a", "1"), ("x-a", "2")], &[]),
            (&[("connection", "not a name, x-a"), ("x-a", "1")], &[]),
            (
                &[
                    ("keep-alive", "5"),
                    ("proxy-connection", "x"),
                    ("upgrade", "h2c"),
                ],
                &[],
            ),
            (
                &[
                    ("transfer-encoding", "chunked"),
                    ("proxy-authorization", "x"),
                ],
                &[],
            ),
            (
                &[
                    ("upgrade", "websocket"),
                    ("http2-settings", "AAA"),
                    ("expect", "100-continue"),
                ],
                &[],
            ),
            (&[("te", "gzip")], &[]),
            (&[("trailer", "x-sum")], &["trailer"]),
        ];
        for (sent, left) in table {
            let mut headers = map(sent);
            prepare_request(&mut headers, ForwardedPolicy::Replace, None);
            assert_eq!(&names(&headers), left, "{sent:?}");
        }
    }

    #[test]
    fn a_protected_name_cannot_be_nominated_away() {
        for name in [
            "x-correlation-id",
            "host",
            "content-length",
            "traceparent",
            "authorization",
        ] {
            let mut headers = map(&[("connection", name), (name, "kept")]);
            prepare_request(&mut headers, ForwardedPolicy::Replace, None);
            assert_eq!(headers.get(name).unwrap(), "kept", "{name}");
        }
    }

    #[test]
    fn te_keeps_trailers_and_nothing_else() {
        let mut headers = map(&[
            ("te", "gzip;q=0.5"),
            ("te", "deflate, Trailers"),
            ("connection", "te"),
        ]);
        prepare_request(&mut headers, ForwardedPolicy::Replace, None);
        assert_eq!(headers.get_all(TE).iter().collect::<Vec<_>>(), ["trailers"]);
    }

    #[test]
    fn a_response_is_stripped_as_well() {
        let mut headers = map(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("www-authenticate", "Basic"),
            ("set-cookie", "a=b"),
        ]);
        strip_response(&mut headers);
        assert_eq!(
            headers,
            map(&[("www-authenticate", "Basic"), ("set-cookie", "a=b")])
        );
    }

    #[test]
    fn stripping_twice_changes_nothing_more() {
        let mut headers = map(&[("connection", "x-a"), ("te", "trailers"), ("accept", "*/*")]);
        prepare_request(&mut headers, ForwardedPolicy::Replace, None);
        let once = headers.clone();
        prepare_request(&mut headers, ForwardedPolicy::Replace, None);
        assert_eq!(headers, once);
    }

    fn forwarded(policy: ForwardedPolicy) -> HeaderMap {
        let mut headers = map(&[
            ("host", "shop.example"),
            ("forwarded", "for=6.6.6.6"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-real-ip", "6.6.6.6"),
            ("x-forwarded-prefix", "/evil"),
            ("x-forwarded-ssl", "on"),
            ("x-client-ip", "6.6.6.6"),
            ("true-client-ip", "6.6.6.6"),
            ("x-original-url", "/admin"),
            ("X_Forwarded_For", "6.6.6.6"),
            ("X_Forwarded-Server", "evil"),
            ("x-real_ip", "6.6.6.6"),
            ("true_client_ip", "6.6.6.6"),
        ]);
        let peer = Peer::new(SocketAddr::from(([192, 0, 2, 1], 5)));
        prepare_request(&mut headers, policy, Some(&peer));
        assert_eq!(headers.remove("host").unwrap(), "shop.example");
        headers
    }

    #[test]
    fn replacing_believes_only_the_connection() {
        let expected = map(&[
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "shop.example"),
        ]);
        assert_eq!(forwarded(ForwardedPolicy::Replace), expected);
    }

    #[test]
    fn dropping_tells_nothing() {
        assert!(forwarded(ForwardedPolicy::Drop).is_empty());
    }

    #[test]
    fn appending_adds_the_peer_at_the_right_and_keeps_what_the_proxy_before_said() {
        let headers = forwarded(ForwardedPolicy::Append);
        let hops: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(hops, ["6.6.6.6", "7.7.7.7", "192.0.2.1"]);
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "evil.example");
        assert_eq!(headers["x-forwarded-prefix"], "/evil");
        assert!(!headers.contains_key("forwarded"));
        assert!(headers.keys().all(|name| !name.as_str().contains('_')));
    }

    #[test]
    fn what_passes_for_a_protected_name_goes_and_other_underscores_stay() {
        for (name, stays) in [
            ("x_correlation_id", false),
            ("x-request_id", false),
            ("content_length", false),
            ("transfer_encoding", false),
            ("proxy_authorization", false),
            ("x_forwarded_anything", false),
            ("x_shop", true),
            ("user_id", true),
            ("x-forwardedfor", true),
        ] {
            let mut headers = map(&[(name, "x")]);
            prepare_request(&mut headers, ForwardedPolicy::Append, None);
            assert_eq!(headers.contains_key(name), stays, "{name}");
        }
    }

    #[test]
    fn one_length_or_none_is_left_of_a_response() {
        let twice = map(&[("content-length", "5"), ("content-length", "5")]);
        let overruled = map(&[("content-length", "3"), ("transfer-encoding", "chunked")]);
        for (mut headers, left) in [(twice, Some("5")), (overruled, None)] {
            strip_response(&mut headers);
            let lengths: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(lengths, left.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_mapped_ipv4_address_is_told_as_ipv4() {
        let peer = Peer::new("[::ffff:192.0.2.1]:5".parse().unwrap());
        assert_eq!(peer.ip, "192.0.2.1");
    }
}
