//! What a [`crate::CorrelationLayer`] is told.

use http::HeaderName;

#[cfg(doc)]
use crate::CorrelationId;
use crate::{Mint, Trust};

/// The header that carries the ID where nothing else is said.
pub static X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// A header that is read as well where nothing else is said.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The configuration of a [`crate::CorrelationLayer`].
///
/// By default it stands at an edge (no client's ID is believed), reads `x-correlation-id` and, where
/// that is absent, `x-request-id`, writes the former, and mints UUIDv7.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The header that is read first, written to the request and echoed on the response.
    pub header: HeaderName,
    /// Headers that are read, in this order, where the first is absent. They do not go inward.
    pub also_read: Vec<HeaderName>,
    /// Whether a client's ID is believed.
    pub trust: Trust,
    /// How new IDs are made.
    pub mint: Mint,
    /// Whether the ID stands in the extensions of request and response as well.
    pub extensions: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            header: X_CORRELATION_ID.clone(),
            also_read: vec![X_REQUEST_ID.clone()],
            trust: Trust::default(),
            mint: Mint::default(),
            extensions: true,
        }
    }
}

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads, writes and echoes `header`.
    #[must_use]
    pub fn header(mut self, header: HeaderName) -> Self {
        self.header = header;
        self
    }

    /// Reads these where the header itself is absent, instead of `x-request-id`.
    #[must_use]
    pub fn also_read(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.also_read = headers.into_iter().collect();
        self
    }

    /// Believes clients as `trust` says.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Makes new IDs as `mint` says.
    #[must_use]
    pub fn mint(mut self, mint: Mint) -> Self {
        self.mint = mint;
        self
    }

    /// Puts the ID into the extensions of request and response as well (the default), or into its
    /// header alone, which spares a request both maps. [`CorrelationId::current`] tells it either
    /// way, and so what goes out through a [`crate::PropagateLayer`] carries it. A second
    /// [`crate::CorrelationLayer`] further in then takes the header for a stranger's.
    #[must_use]
    pub const fn extensions(mut self, extensions: bool) -> Self {
        self.extensions = extensions;
        self
    }
}
