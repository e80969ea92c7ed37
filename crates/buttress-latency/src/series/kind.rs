//! What kind of exchange it is: methods and schemes as closed sets, because clients choose them.

/// A call to any service, or an HTTP exchange by method and scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Plain,
    Http(Method, Scheme),
}

/// Whose view of an exchange it is: by that it depends what an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// The caller of any service.
    Caller,
    Server,
    Client,
}

/// The methods that the conventions know; others are `_OTHER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    Query,
    Other,
}

/// The schemes that a server answers on; others are `_OTHER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
    Other,
}

impl Kind {
    /// How many there are.
    pub(crate) const COUNT: usize = 1 + METHODS.len() * SCHEMES.len();

    /// The method's name.
    pub(crate) const fn method(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Http(method, _) => Some(method.as_str()),
        }
    }

    /// Its number, below [`Kind::COUNT`].
    #[inline]
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Http(method, scheme) => 1 + method as usize * SCHEMES.len() + scheme as usize,
        }
    }
}

const METHODS: [Method; 11] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Delete,
    Method::Connect,
    Method::Options,
    Method::Trace,
    Method::Patch,
    Method::Query,
    Method::Other,
];

const SCHEMES: [Scheme; 3] = [Scheme::Http, Scheme::Https, Scheme::Other];

impl Method {
    #[inline]
    pub(crate) fn of(method: &http::Method) -> Self {
        match *method {
            http::Method::GET => Self::Get,
            http::Method::HEAD => Self::Head,
            http::Method::POST => Self::Post,
            http::Method::PUT => Self::Put,
            http::Method::DELETE => Self::Delete,
            http::Method::CONNECT => Self::Connect,
            http::Method::OPTIONS => Self::Options,
            http::Method::TRACE => Self::Trace,
            http::Method::PATCH => Self::Patch,
            _ if method.as_str() == "QUERY" => Self::Query,
            _ => Self::Other,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Query => "QUERY",
            Self::Other => "_OTHER",
        }
    }
}

impl Scheme {
    /// The scheme of a request's URI, if it names one.
    #[inline]
    pub(crate) fn of(uri: &http::Uri) -> Option<Self> {
        Some(match uri.scheme_str()? {
            "http" => Self::Http,
            "https" => Self::Https,
            _ => Self::Other,
        })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Other => "_OTHER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Kind> {
        let http = |method: Method| SCHEMES.into_iter().map(move |s| Kind::Http(method, s));
        std::iter::once(Kind::Plain).chain(METHODS.into_iter().flat_map(http))
    }

    #[test]
    fn every_kind_has_the_number_of_its_place() {
        assert!(all().enumerate().all(|(n, kind)| kind.index() == n));
        assert_eq!(all().count(), Kind::COUNT);
    }

    #[test]
    fn a_method_that_is_not_known_is_another() {
        let of = |name: &str| Method::of(&http::Method::from_bytes(name.as_bytes()).unwrap());
        for known in METHODS.iter().filter(|method| **method != Method::Other) {
            assert_eq!(of(known.as_str()), *known);
        }
        assert_eq!(of("get"), Method::Other);
        assert_eq!(of("BREW"), Method::Other);
    }
}
