//! What a request is aimed at: one host, one plain path, and nothing a proxy must not do.
//!
//! Servers disagree about two `Host` headers, a `Host` beside another authority, and what leads out
//! of a path's directory. The first two are refused or made plain here. Of paths, every spelling of
//! a dot segment is refused that a server could still read as one: encoded dots, an encoded slash or
//! a backslash around them, parameters behind them. So no path that is forwarded leads out of the
//! prefix of its route for a server that decodes a path once.
//!
//! A path is forwarded as it came, and a route is matched by its bytes: to a server that decodes
//! twice, or that takes `%2F` for a slash where it separates names, it can still mean another place.

use std::mem;
use std::net::Ipv6Addr;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};

use crate::headers::some_repeat;
use crate::known_host::KnownHost;
use crate::problem::Problem;

/// Makes a request's target plain, or says why it is refused.
///
/// Afterwards a request has at most one `Host` (exactly one from HTTP/1.1 on), which is the
/// authority of an absolute-form target where there was one, and as its target only a path without
/// dot segments and backslashes, and a query. `known` is the host that its connection named last.
pub(crate) fn normalize<B>(request: &mut Request<B>, known: &mut KnownHost) -> Result<(), Problem> {
    if request.method() == Method::CONNECT {
        return Err(Problem::ConnectRefused);
    }
    if has_dot_segment(request.uri().path()) {
        return Err(Problem::BadPath);
    }
    one_host(request, known)
}

/// The host that a request is for, without its port and the dot of the root; empty where HTTP/1.0 names none.
pub fn host<B>(request: &Request<B>) -> &str {
    let value = request
        .headers()
        .get(&HOST)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    without_root(without_port(std::str::from_utf8(value).unwrap_or_default()))
}

/// The same name without the one dot at its end that stands for the root of all names.
pub(crate) fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// The address that a host in brackets is.
pub(crate) fn address(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn one_host<B>(request: &mut Request<B>, known: &mut KnownHost) -> Result<(), Problem> {
    let (host, more) = first_two_hosts(request.headers());
    if more.is_some() {
        return Err(Problem::BadHost);
    }
    match (request.uri().authority(), host) {
        (None, Some(host)) if known.knows(host.as_bytes(), is_host) => Ok(()),
        (None, None) if request.version() <= Version::HTTP_10 => Ok(()),
        (None, _) => Err(Problem::BadHost),
        // An authority alone is a target of CONNECT (RFC 9112 section 3.2.3).
        (Some(_), _) if request.uri().scheme().is_none() && request.version() < Version::HTTP_2 => {
            Err(Problem::BadPath)
        }
        (Some(authority), host) => {
            let agrees = host.is_none_or(|host| same(host, authority));
            // HTTP/1 lets the target overrule `Host`; in HTTP/2 the two have to agree.
            if !known.knows(authority.as_str().as_bytes(), is_host)
                || (!agrees && request.version() >= Version::HTTP_2)
            {
                return Err(Problem::BadHost);
            }
            let value = HeaderValue::from_str(authority.as_str());
            request
                .headers_mut()
                .insert(HOST, value.map_err(|_| Problem::BadHost)?);
            leave_path(request.uri_mut());
            Ok(())
        }
    }
}

/// Takes off what `Host` says now: else it would be told as the name of the endpoint.
fn leave_path(uri: &mut Uri) {
    let path = mem::take(uri).into_parts().path_and_query;
    *uri = path.unwrap_or(PathAndQuery::from_static("/")).into();
}

/// Up to so many headers are cheaper to go through than one is to look up.
const FEW: usize = 12;

fn first_two_hosts(headers: &HeaderMap) -> (Option<&HeaderValue>, Option<&HeaderValue>) {
    if headers.len() > FEW {
        let mut hosts = headers.get_all(&HOST).iter();
        return (hosts.next(), hosts.next());
    }
    let mut hosts = headers.iter().filter(|(name, _)| *name == HOST);
    let first = hosts.next();
    // Most clients send it first, and where no name repeats there is no other to look for.
    let more = if some_repeat(headers) {
        hosts.next()
    } else {
        None
    };
    (first.map(|(_, value)| value), more.map(|(_, value)| value))
}

fn same(host: &HeaderValue, authority: &Authority) -> bool {
    host.as_bytes()
        .eq_ignore_ascii_case(authority.as_str().as_bytes())
}

/// A name or an address, perhaps with a port: no user part, no list, no white space.
fn is_host(host: &[u8]) -> bool {
    let end = host.iter().position(|&byte| !is_of_a_name(byte));
    match host.split_at(end.unwrap_or(host.len())) {
        ([], [b'[', rest @ ..]) => is_bracketed(rest),
        ([], _) => false,
        (_, port) => is_port(port),
    }
}

/// Whether a byte may stand in a name: by a table, for every request's host is looked through.
#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
fn is_of_a_name(byte: u8) -> bool {
    static OF_A_NAME: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128_u8 {
            table[byte as usize] =
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            byte += 1;
        }
        table
    };
    OF_A_NAME[usize::from(byte)]
}

/// The rest of an IPv6 address after its opening bracket, perhaps with a port.
fn is_bracketed(rest: &[u8]) -> bool {
    let Some((address, port)) = std::str::from_utf8(rest)
        .ok()
        .and_then(|rest| rest.split_once(']'))
    else {
        return false;
    };
    address.parse::<Ipv6Addr>().is_ok() && is_port(port.as_bytes())
}

/// Nothing, or a colon and the digits of a port. RFC 3986 lets them be none.
fn is_port(port: &[u8]) -> bool {
    match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => is_port_number(digits),
        _ => false,
    }
}

/// At most 65,535, in digits alone.
fn is_port_number(digits: &[u8]) -> bool {
    let port = digits.iter().try_fold(0_u32, |port, digit| {
        let port = port * 10 + u32::from(digit.is_ascii_digit().then_some(digit - b'0')?);
        u16::try_from(port).is_ok().then_some(port)
    });
    port.is_some()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // A colon inside brackets belongs to the address.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

/// Whether a path holds a backslash, or a segment that a server could read as `.` or `..`: plain or
/// encoded, behind or before an encoded separator, with parameters.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    // Most paths hold none of these, and to know that takes no look at their segments.
    let is_suspect = |byte| matches!(byte, b'.' | b'%' | b'\\');
    let Some(first) = path.bytes().position(is_suspect) else {
        return false;
    };
    let (before, mut rest) = path.as_bytes().split_at(first);
    let mut begins = before.last().is_none_or(|&byte| byte == b'/');
    loop {
        (begins, rest) = match rest {
            [] => return false,
            [b'\\', ..] => return true,
            [b'/', tail @ ..] => (true, tail),
            [b'.' | b'%', ..] if begins && is_dots(rest) => return true,
            [b'%', tail @ ..] => match encoded_separator(tail) {
                Some(tail) => (true, tail),
                None => (false, tail),
            },
            [_, tail @ ..] => (false, tail),
        };
    }
}

/// What follows an encoded slash or backslash, after its percent sign.
fn encoded_separator(encoded: &[u8]) -> Option<&[u8]> {
    match encoded {
        [b'2', b'f' | b'F', tail @ ..] | [b'5', b'c' | b'C', tail @ ..] => Some(tail),
        _ => None,
    }
}

/// Whether one dot or two are all there is up to the end of a segment or to its parameters.
fn is_dots(mut rest: &[u8]) -> bool {
    let mut dots = 0;
    while let [b'.', tail @ ..] | [b'%', b'2', b'e' | b'E', tail @ ..] = rest {
        rest = tail;
        dots += 1;
    }
    let ends = match rest {
        [] | [b'/' | b'\\' | b';', ..] | [b'%', b'3', b'b' | b'B', ..] => true,
        [b'%', tail @ ..] => encoded_separator(tail).is_some(),
        _ => false,
    };
    ends && (dots == 1 || dots == 2)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn request(version: Version, uri: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap()
    }

    fn normalized(version: Version, uri: &str, hosts: &[&str]) -> Result<String, Problem> {
        let mut request = request(version, uri, hosts);
        normalize(&mut request, &mut KnownHost::default())?;
        assert!(request.headers().get_all(HOST).iter().count() <= 1);
        assert_eq!(request.uri().authority(), None, "it is said once");
        Ok(host(&request).to_owned())
    }

    #[test]
    fn exactly_one_host_is_taken() {
        let h1 = Version::HTTP_11;
        assert_eq!(
            normalized(h1, "/", &["a.example:80"]),
            Ok("a.example".into())
        );
        assert_eq!(normalized(h1, "/", &["[::1]:80"]), Ok("[::1]".into()));
        assert_eq!(normalized(h1, "/", &["[::1]"]), Ok("[::1]".into()));
        assert_eq!(normalized(h1, "/", &["a_b:"]), Ok("a_b".into()));
        for hosts in [
            &[][..],
            &[""],
            &["a", "a"],
            &["a", "b"],
            &["a,b"],
            &["u@a"],
            &["a b"],
            &[":"],
            &[":80"],
            &["x:80:90"],
            &["x:8o"],
            &["x:65536"],
            &["a]"],
            &["[]"],
            &["[::1"],
            &["[::1]x"],
            &["[a.example]"],
            &["::1"],
        ] {
            assert_eq!(
                normalized(h1, "/", hosts),
                Err(Problem::BadHost),
                "{hosts:?}"
            );
        }
    }

    #[test]
    fn a_second_host_is_found_among_few_headers_and_among_many() {
        for others in [0, 1, FEW - 2, FEW - 1, FEW, 2 * FEW] {
            for first in [0, others] {
                let mut request = request(Version::HTTP_11, "/", &[]);
                for place in 0..=others {
                    let name: HeaderName = format!("x-{place}").parse().unwrap();
                    request.headers_mut().insert(name, HOST_A);
                    if place == first {
                        request.headers_mut().append(HOST, HOST_A);
                    }
                }
                let is_taken = |request: &mut Request<()>| {
                    normalize(request, &mut KnownHost::default()).is_ok()
                };
                let mut twice = request.clone();
                twice.headers_mut().append(HOST, HOST_A);
                assert!(is_taken(&mut request), "{others}");
                assert!(!is_taken(&mut twice), "{others}");
            }
        }
    }

    const HOST_A: HeaderValue = HeaderValue::from_static("a.example");

    #[test]
    fn http_1_0_may_name_no_host() {
        assert_eq!(normalized(Version::HTTP_10, "/", &[]), Ok(String::new()));
    }

    #[test]
    fn the_authority_of_an_absolute_target_overrules_host() {
        let taken = normalized(Version::HTTP_11, "http://b.example:81/x", &["a.example"]);
        assert_eq!(taken, Ok("b.example".into()));
        let taken = normalized(Version::HTTP_11, "http://u@b.example/x", &["a.example"]);
        assert_eq!(taken, Err(Problem::BadHost));
    }

    #[test]
    fn in_http_2_authority_and_host_have_to_agree() {
        let h2 = Version::HTTP_2;
        assert_eq!(
            normalized(h2, "http://a.example/", &[]),
            Ok("a.example".into())
        );
        assert_eq!(
            normalized(h2, "http://a.example/", &["A.example"]),
            Ok("a.example".into())
        );
        assert_eq!(
            normalized(h2, "http://a.example/", &["b.example"]),
            Err(Problem::BadHost)
        );
    }

    #[test]
    fn an_authority_alone_is_a_target_of_connect_and_of_nothing_else() {
        for version in [Version::HTTP_10, Version::HTTP_11] {
            for target in ["a.example:1", "a.example"] {
                let refused = normalized(version, target, &["a.example"]);
                assert_eq!(refused, Err(Problem::BadPath), "{target}");
            }
        }
    }

    #[test]
    fn connect_is_refused() {
        let mut request = request(Version::HTTP_11, "a.example:443", &["a.example"]);
        *request.method_mut() = Method::CONNECT;
        let normalized = normalize(&mut request, &mut KnownHost::default());
        assert_eq!(normalized, Err(Problem::ConnectRefused));
    }

    #[test]
    fn dot_segments_are_refused_and_dots_in_names_are_not() {
        for path in [
            "/a/../b",
            "/..",
            "/./a",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/%2e",
            "/one/..%2f..%2fx",
            "/one/..%5Cx",
            "/one/x%2F..",
            "/one/x%5c%2e%2e/y",
            "/one/..;/x",
            "/one/..;a=b/x",
            "/one/.%2e%3B/x",
            "/one/.;",
            "/one/..\\x",
            "/one\\x",
        ] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in [
            "/",
            "/a.b",
            "/.well-known/x",
            "/...",
            "/a..b",
            "/%2ehidden",
            "/%20",
            "/a%2Fb",
            "/a%2f.b",
            "/a%5Cb",
            "/a;b=c/d",
            "/...;a",
            "/..a%2fb",
            "/%2",
            "/a%",
        ] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }
}
