//! The host that a connection named last.
//!
//! Most connections name one host for all their requests, and to compare it costs a fraction of what it
//! does to look through it.

/// A longer one is looked through each time: a connection has room for this one alone.
const LONGEST: usize = 64;

/// A host, perhaps with a port, that was found to be one; none at first.
#[derive(Clone, Debug)]
pub(crate) struct KnownHost {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Default for KnownHost {
    fn default() -> Self {
        Self {
            bytes: [0; LONGEST],
            length: 0,
        }
    }
}

impl KnownHost {
    /// Whether `host` is this one, or is one by `is_host`; then it is this one from now on.
    #[inline]
    pub(crate) fn knows(&mut self, host: &[u8], is_host: impl FnOnce(&[u8]) -> bool) -> bool {
        let known = self.bytes.get(..self.length).unwrap_or_default();
        if known == host && !known.is_empty() {
            return true;
        }
        let good = is_host(host);
        if good && let Some(place) = self.bytes.get_mut(..host.len()) {
            place.copy_from_slice(host);
            self.length = host.len();
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_asked_no_more_and_what_is_none_or_too_long_is_never_known() {
        let mut known = KnownHost::default();
        let long = [b'a'; LONGEST + 1];
        for (host, is_host, asked) in [
            (&b""[..], false, true),
            (b"a.example", true, true),
            (b"a.example", true, false),
            (b"a.example:80", true, true),
            (b"a.example", true, true),
            (b"a,b", false, true),
            (b"a,b", false, true),
            (b"a.example", true, false),
            (&long, true, true),
            (&long, true, true),
            (b"a.example", true, false),
        ] {
            let mut was_asked = false;
            let ask = |_: &[u8]| {
                was_asked = true;
                is_host
            };
            assert_eq!(known.knows(host, ask), is_host);
            assert_eq!(was_asked, asked, "{host:?}");
        }
    }
}
