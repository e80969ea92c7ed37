//! What ties a request to an endpoint: a key.

use std::fmt;
use std::sync::Arc;

use http::header::{COOKIE, HeaderName};
use http::{Extensions, HeaderMap, Method, Request, Uri};

/// The head of a request, as a key is taken from it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions.
    pub extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    pub(crate) fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

/// Takes a key from a request. Requests with one key go to one endpoint where the [`Policy`](crate::Policy) asks for
/// that; one without a key goes wherever the cost is least.
///
/// A key is a hash, and the same in every process that runs the same version: replicas of a gateway agree where a
/// key belongs.
#[derive(Clone)]
pub struct Affinity(Arc<KeyOf>);

type KeyOf = dyn Fn(&RequestHead<'_>) -> Option<u64> + Send + Sync;

impl Affinity {
    /// The key that `key_of` says. It is called once for each request, and once for each further attempt at it, under
    /// no lock; a panic of it is that request's alone. [`Affinity::hash`] makes a key of bytes.
    pub fn by(key_of: impl Fn(&RequestHead<'_>) -> Option<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(key_of))
    }

    /// The first value of this header.
    pub fn header(name: HeaderName) -> Self {
        Self::by(move |head| {
            head.headers
                .get(&name)
                .map(|value| Self::hash(value.as_bytes()))
        })
    }

    /// The value of this cookie. Names are compared as they are.
    pub fn cookie(name: impl Into<String>) -> Self {
        let name = name.into();
        Self::by(move |head| cookie(head.headers, name.as_bytes()).map(Self::hash))
    }

    /// The path, without the query.
    pub fn path() -> Self {
        Self::by(|head| Some(Self::hash(head.uri.path().as_bytes())))
    }

    /// A key of `bytes`: FNV-1a (Fowler, Noll, Vo) with a finalizer, by which each bit of the input reaches each of
    /// the key.
    pub fn hash(bytes: &[u8]) -> u64 {
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        mix(bytes.iter().fold(BASIS, fold))
    }

    pub(crate) fn key_of<B>(&self, request: &Request<B>) -> Option<u64> {
        (self.0)(&RequestHead::of(request))
    }
}

impl fmt::Debug for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Affinity")
    }
}

/// The finalizer of `SplitMix64`.
#[inline]
pub(crate) const fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number from 0 to 1, and neither of them, of any hash.
#[inline]
pub(crate) fn unit(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let mut parts = pair.trim_ascii().splitn(2, |byte| *byte == b'=');
        parts.next().filter(|it| *it == name).and(parts.next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(affinity: &Affinity, headers: &[(&str, &str)]) -> Option<u64> {
        let request = Request::builder().uri("/orders/7?page=2");
        let with = |request: http::request::Builder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        let request = headers.iter().fold(request, with).body(()).unwrap();
        affinity.key_of(&request)
    }

    #[test]
    fn a_cookie_is_found_among_others_and_a_longer_name_is_another() {
        let affinity = Affinity::cookie("id");
        let expected = Some(Affinity::hash(b"a=b"));
        assert_eq!(key(&affinity, &[("cookie", "idx=1; id=a=b; x")]), expected);
        assert_eq!(
            key(&affinity, &[("cookie", "x=1"), ("cookie", "id=a=b")]),
            expected
        );
        for none in ["idx=1", "id", "", ";;;", "ID=1"] {
            assert_eq!(key(&affinity, &[("cookie", none)]), None, "{none}");
        }
    }

    #[test]
    fn a_header_is_a_key_and_one_that_is_not_there_is_none() {
        let affinity = Affinity::header(HeaderName::from_static("x-user"));
        assert_eq!(
            key(&affinity, &[("x-user", "7")]),
            Some(Affinity::hash(b"7"))
        );
        assert_eq!(key(&affinity, &[]), None);
    }

    #[test]
    fn the_query_is_not_part_of_a_path() {
        assert_eq!(
            key(&Affinity::path(), &[]),
            Some(Affinity::hash(b"/orders/7"))
        );
    }

    #[test]
    fn the_hash_is_the_one_that_other_replicas_have() {
        assert_eq!(Affinity::hash(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(Affinity::hash(b"a"), mix(0xaf63_dc4c_8601_ec8c));
    }
}
