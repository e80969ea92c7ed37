//! Whose word is believed.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

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
    When(Arc<dyn Fn(&Parts) -> bool + Send + Sync>),
}

impl Trust {
    /// Believes the requests for which `predicate` says yes. If it panics, that request panics and
    /// no other.
    pub fn when(predicate: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        Self::When(Arc::new(predicate))
    }

    /// Asks about `request`. The request is handed back, because a predicate sees it in parts.
    pub fn ask<B>(&self, request: http::Request<B>) -> (bool, http::Request<B>) {
        match self {
            Self::Edge => (false, request),
            Self::Internal => (true, request),
            Self::When(predicate) => {
                let (parts, body) = request.into_parts();
                let trusted = predicate(&parts);
                (trusted, http::Request::from_parts(parts, body))
            }
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
