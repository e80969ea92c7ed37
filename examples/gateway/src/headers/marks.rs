//! The headers that a proxy has something to do with, found in one pass over a message's names.
//!
//! Most messages carry one or two of them. To look each of them up costs a hash apiece, which is
//! more than to compare the few names that are there.

use http::{HeaderMap, HeaderName};

macro_rules! marks {
    ($($mark:ident = $name:literal),+ $(,)?) => {
        /// A header that a proxy has something to do with.
        #[derive(Clone, Copy, Debug)]
        pub(super) enum Mark {
            $($mark),+
        }

        impl Mark {
            fn of(name: &HeaderName) -> Option<Self> {
                match name.as_str() {
                    $($name => Some(Self::$mark),)+
                    _ => None,
                }
            }
        }

        /// The names of all marks, in their order.
        static NAMES: [HeaderName; [$($name),+].len()] = [$(HeaderName::from_static($name)),+];
    };
}

marks! {
    Connection = "connection",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    TransferEncoding = "transfer-encoding",
    ContentLength = "content-length",
    Upgrade = "upgrade",
    Te = "te",
    Expect = "expect",
    Http2Settings = "http2-settings",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    Forwarded = "forwarded",
    XRealIp = "x-real-ip",
    XForwardedFor = "x-forwarded-for",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XForwardedProto = "x-forwarded-proto",
    XClientIp = "x-client-ip",
    TrueClientIp = "true-client-ip",
    XClusterClientIp = "x-cluster-client-ip",
    XOriginalUrl = "x-original-url",
    XRewriteUrl = "x-rewrite-url",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    Baggage = "baggage",
}

/// A name that passes for another, as most applications read `_` and `-` alike.
const ALIAS: Marks = Marks(1 << 30);
/// An `x-forwarded-` of another kind than those that are marked.
const RELATIVE: Marks = Marks(1 << 31);

/// Some of the marks: those of one message, or those that somebody is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks(u32);

impl Marks {
    pub(super) const fn of(mut marks: &[Mark]) -> Self {
        let mut bits = 0;
        while let [first, rest @ ..] = marks {
            bits |= 1 << *first as u32;
            marks = rest;
        }
        Self(bits)
    }

    /// The marks of all names in a response's headers.
    pub(super) fn on_response(headers: &HeaderMap) -> Self {
        Self::on(headers, |_| Self(0))
    }

    /// The marks of all names in a request's headers, with those that only pass for a marked one.
    pub(super) fn on_request(headers: &HeaderMap) -> Self {
        Self::on(headers, |name| match kin(name.as_str().as_bytes()) {
            Some(kin) => kin,
            None => Self(0),
        })
    }

    fn on(headers: &HeaderMap, other: impl Fn(&HeaderName) -> Self) -> Self {
        headers.keys().fold(Self(0), |marks, name| {
            marks.with(match Mark::of(name) {
                Some(mark) => Self(1 << mark as u32),
                None => other(name),
            })
        })
    }

    pub(super) const fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    pub(super) const fn has(self, mark: Mark) -> bool {
        self.0 & (1 << mark as u32) != 0
    }

    pub(super) const fn has_any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    /// Removes those of the headers `unwanted` that were found.
    pub(super) fn remove(self, unwanted: Self, headers: &mut HeaderMap) {
        let mut left = self.0 & unwanted.0;
        while left != 0 {
            if let Some(name) = NAMES.get(left.trailing_zeros() as usize) {
                headers.remove(name);
            }
            left &= left - 1;
        }
    }

    /// Removes all names that pass for one a proxy or a layer relies on.
    pub(super) fn remove_aliases(self, headers: &mut HeaderMap) {
        if self.0 & ALIAS.0 != 0 {
            remove_kin(ALIAS, headers);
        }
    }

    /// Removes every `x-forwarded-` that is not marked.
    pub(super) fn remove_relatives(self, headers: &mut HeaderMap) {
        if self.0 & RELATIVE.0 != 0 {
            remove_kin(RELATIVE, headers);
        }
    }
}

#[cold]
fn remove_kin(unwanted: Marks, headers: &mut HeaderMap) {
    let is_unwanted = |name: &&HeaderName| {
        Mark::of(name).is_none() && kin(name.as_str().as_bytes()) == Some(unwanted)
    };
    let names: Vec<HeaderName> = headers.keys().filter(is_unwanted).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether a proxy has something to do with a header of this name, or it passes for one that is.
pub(super) fn is_marked_or_akin(name: &HeaderName) -> bool {
    Mark::of(name).is_some() || kin(name.as_str().as_bytes()).is_some()
}

/// What an unmarked name is besides. Most are told by their first letter and length.
fn kin(name: &[u8]) -> Option<Marks> {
    let may_be = match name.first() {
        Some(b'x') => true,
        Some(b'c' | b'p' | b't') => matches!(name.len(), 14 | 16..=19),
        _ => false,
    };
    if !may_be {
        return None;
    }
    if name.contains(&b'_') {
        return passes_for_another(name).then_some(ALIAS);
    }
    name.starts_with(b"x-forwarded-").then_some(RELATIVE)
}

#[cold]
fn passes_for_another(name: &[u8]) -> bool {
    let plain: Vec<u8> = name
        .iter()
        .map(|&byte| if byte == b'_' { b'-' } else { byte })
        .collect();
    plain.starts_with(b"x-forwarded-")
        || HeaderName::from_bytes(&plain)
            .is_ok_and(|name| Mark::of(&name).is_some() || super::is_protected(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn no_letter_and_length_hides_an_alias_of_a_name_with_a_hyphen() {
        let protected = ["x-correlation-id", "x-request-id"];
        // What says nothing to an application of another, or is of no use to a forger.
        let harmless = ["keep-alive", "http2-settings"];
        let names = NAMES.iter().map(HeaderName::as_str).chain(protected);
        for name in names.filter(|name| name.contains('-') && !harmless.contains(name)) {
            let alias = name.replacen('-', "_", 1);
            assert_eq!(kin(alias.as_bytes()), Some(ALIAS), "{alias}");
        }
    }

    #[test]
    fn every_marked_name_is_found_and_removed_by_its_own_mark() {
        for (place, name) in NAMES.iter().enumerate() {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("x"));
            headers.insert("accept", HeaderValue::from_static("x"));
            let found = Marks::on_request(&headers);
            assert_eq!(found, Marks(1 << place), "{name}");
            found.remove(found, &mut headers);
            assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
        }
    }
}
