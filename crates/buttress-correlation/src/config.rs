//! What a [`crate::CorrelationLayer`] is told.

use buttress_core::config::{ConfigError, require};
use http::{HeaderName, header};

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

    /// Whether this makes sense: the ID travels in headers that mean nothing else, each named once. One
    /// that frames a message, that ends at the next hop or that carries credentials cannot carry it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        free("header", &self.header)?;
        let mut before = vec![&self.header];
        for name in &self.also_read {
            free("also_read", name)?;
            require(!before.contains(&name), "also_read", || {
                format!("{name} is named twice, expected each header once")
            })?;
            before.push(name);
        }
        Ok(())
    }
}

/// Refuses a name that is taken by HTTP itself.
fn free(field: &'static str, name: &HeaderName) -> Result<(), ConfigError> {
    let taken = TAKEN.contains(name) || ENDING_AT_A_HOP.contains(&name.as_str());
    require(!taken, field, || {
        format!("{name} has a meaning of its own, expected a header such as x-correlation-id")
    })
}

/// Headers that frame a message, route it or carry credentials.
static TAKEN: [HeaderName; 15] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::HOST,
    header::LOCATION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers of single hops that have no constant.
static ENDING_AT_A_HOP: [&str; 2] = ["keep-alive", "proxy-connection"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_a_meaning_of_its_own_and_one_named_twice_are_refused() {
        assert_eq!(Config::new().validate(), Ok(()));
        for name in ["host", "content-length", "keep-alive", "authorization"] {
            let name = HeaderName::from_static(name);
            let error = Config::new().header(name.clone()).validate().unwrap_err();
            assert_eq!(error.field(), "header");
            assert!(error.problem().contains(name.as_str()));
            let error = Config::new().also_read([name]).validate().unwrap_err();
            assert_eq!(error.field(), "also_read");
        }
        let twice = [X_REQUEST_ID.clone(), X_REQUEST_ID.clone()];
        assert!(Config::new().also_read(twice).validate().is_err());
        let same = Config::new().also_read([X_CORRELATION_ID.clone()]);
        assert_eq!(same.validate().unwrap_err().field(), "also_read");
    }
}
