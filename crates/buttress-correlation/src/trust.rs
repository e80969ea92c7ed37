//! Whose word is believed.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, Request, Uri, Version};

/// Whether what a request brings along (its correlation ID, its trace context) is believed.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Trust {
    /// Requests come from anybody: nothing is believed.
    #[default]
    Edge,
    /// Requests come from services of our own: what is valid is believed.
    Internal,
    /// The predicate says for each request, by its peer's network for example.
    When(Arc<Predicate>),
}

/// Says whether a request is believed.
pub type Predicate = dyn Fn(&RequestHead<'_>) -> bool + Send + Sync;

/// The head of a request, as a predicate sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The version of HTTP.
    pub version: Version,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions: the peer's address stands here if the server puts it in.
    pub extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    /// The head of `request`.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl Trust {
    /// Believes the requests for which `predicate` says yes. If it panics, that request panics and
    /// no other.
    pub fn when(predicate: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self::When(Arc::new(predicate))
    }

    /// Whether `request` is believed.
    #[inline]
    pub fn believes<B>(&self, request: &Request<B>) -> bool {
        match self {
            Self::Edge => false,
            Self::Internal => true,
            Self::When(predicate) => predicate(&RequestHead::of(request)),
        }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edge => "Edge",
            Self::Internal => "Internal",
            Self::When(_) => "When(..)",
        })
    }
}
