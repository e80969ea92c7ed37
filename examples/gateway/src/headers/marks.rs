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
}

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

    /// The marks of all names in `headers`.
    pub(super) fn on(headers: &HeaderMap) -> Self {
        let mut bits = 0;
        for mark in headers.keys().filter_map(Mark::of) {
            bits |= 1 << mark as u32;
        }
        Self(bits)
    }

    pub(super) const fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    pub(super) const fn has(self, mark: Mark) -> bool {
        self.0 & (1 << mark as u32) != 0
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn every_marked_name_is_found_and_removed_by_its_own_mark() {
        for (place, name) in NAMES.iter().enumerate() {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("x"));
            headers.insert("accept", HeaderValue::from_static("x"));
            let found = Marks::on(&headers);
            assert_eq!(found, Marks(1 << place), "{name}");
            found.remove(found, &mut headers);
            assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
        }
    }
}
