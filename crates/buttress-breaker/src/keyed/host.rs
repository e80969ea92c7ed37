//! The host that a request is for.

use std::fmt;
use std::hash::{Hash, Hasher};

/// A host with its port, if the request named one: in lower case, and apart from the request.
///
/// Up to 54 bytes it is held in place, so that a look-up allocates nothing; a longer one is on the
/// heap.
#[derive(Clone, PartialEq, Eq)]
pub struct Host(Text);

/// So many bytes lie beside the length in what a pointer and its companions would leave unused.
const IN_PLACE: usize = 54;

#[derive(Clone, PartialEq, Eq)]
enum Text {
    /// Lower-case ASCII, filled up with zeros.
    Short {
        len: u8,
        bytes: [u8; IN_PLACE],
    },
    Long(Box<str>),
}

impl Host {
    /// The host that `text` names: what is no ASCII in it is replaced by `?`.
    pub fn new(text: &[u8]) -> Self {
        let mut bytes = [0; IN_PLACE];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(len)) => {
                for (to, from) in place.iter_mut().zip(text) {
                    *to = plain(*from);
                }
                Self(Text::Short { len, bytes })
            }
            _ => Self(Text::Long(
                text.iter().map(|byte| char::from(plain(*byte))).collect(),
            )),
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        // All of it is ASCII.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Text::Long(text) => text.as_bytes(),
        }
    }
}

/// Of the text alone: what fills it up is the same in all.
impl Hash for Host {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
    }
}

const fn plain(byte: u8) -> u8 {
    if byte.is_ascii_graphic() {
        byte.to_ascii_lowercase()
    } else {
        b'?'
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({self})")
    }
}

/// The key of an HTTP request by its host: the authority of its URI, else its `Host` header, else
/// nothing.
#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug, Default)]
pub struct ByHost;

#[cfg(feature = "http")]
impl<B> super::KeyOf<http::Request<B>> for ByHost {
    type Key = Host;

    fn key_of(&self, request: &http::Request<B>) -> Host {
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        // Who logs in does not matter to where.
        let of_uri = authority.map(|it| it.rsplit('@').next().unwrap_or(it).as_bytes());
        let of_header = || request.headers().get(http::header::HOST);
        Host::new(
            of_uri
                .or_else(|| of_header().map(http::HeaderValue::as_bytes))
                .unwrap_or_default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_same_in_any_case_and_of_any_length() {
        for text in ["Example.COM:80", "a", &"Long.".repeat(40), ""] {
            let host = Host::new(text.as_bytes());
            assert_eq!(host.as_str(), text.to_lowercase());
            assert_eq!(host, Host::new(text.to_uppercase().as_bytes()));
        }
        assert_ne!(Host::new(b"a"), Host::new(b"a\0"));
        assert_eq!(Host::new("ü\n".as_bytes()).as_str(), "???");
        assert!(size_of::<Host>() <= 64);
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_request_is_for_the_host_of_its_uri_else_of_its_header() {
        use super::super::KeyOf;
        let of = |uri: &str, header: Option<&str>| {
            let mut request = http::Request::builder().uri(uri);
            if let Some(header) = header {
                request = request.header("host", header);
            }
            ByHost.key_of(&request.body(()).unwrap()).to_string()
        };
        assert_eq!(
            of("http://me@One.test:81/x", Some("two.test")),
            "one.test:81"
        );
        assert_eq!(of("/x", Some("Two.test")), "two.test");
        assert_eq!(of("/x", None), "");
    }
}
