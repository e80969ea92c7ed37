//! Whom an ID may be told to.

use std::str::FromStr;
use std::sync::Arc;

use buttress_core::config::ConfigError;
use http::Uri;

/// The hosts that are told what is ours: the correlation ID by [`crate::PropagateLayer`], the trace by
/// telemetry's `TracePropagateLayer`. By default all are.
///
/// A pattern is a host (`orders.internal`, `10.0.0.7`, `[::1]`), or `*.` and a domain, for all hosts
/// below it and not itself. Case and the final dot of a name make no difference, and neither do ports.
/// The host is that of the request's URI: a request whose URI names none is to nobody known.
///
/// ```
/// use buttress_correlation::Hosts;
///
/// let ours = Hosts::only(["orders.example", "*.internal"])?;
/// assert!(ours.contain(&"http://api.internal:8080/".parse()?));
/// assert!(!ours.contain(&"http://api.internal.evil.example/".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Option<Arc<[Pattern]>>);

/// One of them, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Host(Box<str>),
    /// With the dot before it.
    Below(Box<str>),
}

impl Hosts {
    /// Every host.
    pub const fn all() -> Self {
        Self(None)
    }

    /// No host.
    pub fn none() -> Self {
        Self(Some(Arc::default()))
    }

    /// The hosts that one of `patterns` means, and no other. Fails on one that cannot mean any.
    pub fn only<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, ConfigError> {
        let patterns = patterns.into_iter().map(|pattern| pattern.as_ref().parse());
        let patterns: Arc<[Pattern]> = patterns.collect::<Result<_, _>>()?;
        Ok(Self(Some(patterns)))
    }

    /// Whether the host of `uri` is one of them. Allocates nothing.
    pub fn contain(&self, uri: &Uri) -> bool {
        let Some(patterns) = &self.0 else {
            return true;
        };
        uri.host().is_some_and(|host| {
            let host = host.strip_suffix('.').unwrap_or(host);
            patterns.iter().any(|pattern| pattern.means(host))
        })
    }
}

impl Pattern {
    fn means(&self, host: &str) -> bool {
        match self {
            Self::Host(name) => name.eq_ignore_ascii_case(host),
            Self::Below(domain) => host
                .len()
                .checked_sub(domain.len())
                .filter(|&before| before > 0)
                .and_then(|before| host.get(before..))
                .is_some_and(|end| domain.eq_ignore_ascii_case(end)),
        }
    }
}

impl FromStr for Pattern {
    type Err = ConfigError;

    fn from_str(pattern: &str) -> Result<Self, ConfigError> {
        let (below, name) = match pattern.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, pattern),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        // What a URI takes for a host alone is one.
        let uri = Uri::builder()
            .scheme("http")
            .authority(name)
            .path_and_query("/");
        let is_host = uri.build().is_ok_and(|uri| uri.host() == Some(name));
        if !is_host || name.starts_with('.') || name.contains('*') {
            let problem = format!(
                "{pattern:?} means no host, expected a host without a port or \"*.\" and a domain"
            );
            return Err(ConfigError::new("hosts", problem));
        }
        let name = name.to_ascii_lowercase();
        Ok(if below {
            Self::Below(format!(".{name}").into())
        } else {
            Self::Host(name.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(patterns: &[&str], uri: &str) -> bool {
        let hosts = Hosts::only(patterns).unwrap();
        hosts.contain(&uri.parse().unwrap())
    }

    #[test]
    fn a_host_means_itself_and_a_star_all_below_its_domain() {
        for (pattern, uri, meant) in [
            ("orders.internal", "http://orders.internal/a", true),
            ("orders.internal", "https://ORDERS.internal.:8443/a", true),
            ("Orders.Internal.", "http://orders.internal", true),
            ("orders.internal", "http://a.orders.internal", false),
            (
                "orders.internal",
                "http://orders.internal.evil.example",
                false,
            ),
            ("*.internal", "http://a.internal", true),
            ("*.internal", "http://a.b.INTERNAL:80", true),
            ("*.internal", "http://internal", false),
            ("*.internal", "http://evilinternal", false),
            ("*.internal", "http://a.internal.evil.example", false),
            ("*.internal", "http://a.internal@evil.example", false),
            ("10.0.0.7", "http://10.0.0.7:8080", true),
            ("10.0.0.7", "http://10.0.0.77:8080", false),
            ("[::1]", "http://[::1]:8080", true),
            ("orders.internal", "/origin/form", false),
        ] {
            assert_eq!(contain(&[pattern], uri), meant, "{pattern} and {uri}");
        }
        assert!(contain(&["a", "b"], "http://b"));
        assert!(!contain(&[], "http://a"));
        assert!(Hosts::all().contain(&"/".parse().unwrap()));
        assert!(!Hosts::none().contain(&"http://a".parse().unwrap()));
    }

    #[test]
    fn what_means_no_host_is_refused() {
        for pattern in [
            "", "*", "*.", "a b", "a/b", "a:80", "u@a", "*.*.a", "a.*", ".a", "http://a",
        ] {
            let refused = Hosts::only([pattern]).unwrap_err();
            assert_eq!(refused.field(), "hosts", "{pattern}");
        }
    }
}
