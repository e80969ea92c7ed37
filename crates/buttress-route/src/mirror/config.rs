//! What a mirror is set to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::config::{ConfigError, require, require_name, require_share};
use buttress_core::rng::Rng;
use http::Request;

use crate::affinity::RequestHead;

/// What a mirror is set to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The mirror's name, in metrics; not empty. Fixed when the layer is made. Default `default`.
    pub name: Arc<str>,
    /// The share of the requests that is copied, 0 to 1. Default 0.1.
    pub share: f64,
    /// So many copies are under way at once at most; at 0 none. Default 64.
    pub max_in_flight: usize,
    /// For so long a copy is under way at most, its answer among it. More than 0; default 5 s.
    pub timeout: Duration,
    /// Which requests are copied, of those without a body. Default: those that are safe.
    pub requests: Option<Select>,
    /// Tells the time. Fixed when the layer is made.
    pub clock: Clock,
    /// Decides which are copied. Fixed when the layer is made.
    pub rng: Rng,
}

/// Says of a request's head whether it is copied. It may panic, and harms its own request alone.
#[derive(Clone)]
pub struct Select(Arc<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>);

impl Select {
    /// By this function.
    pub fn by(says: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(says))
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Select")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: Arc::from("default"),
            share: 0.1,
            max_in_flight: 64,
            timeout: Duration::from_secs(5),
            requests: None,
            clock: Clock::default(),
            rng: Rng::default(),
        }
    }
}

impl Config {
    /// The defaults, for a mirror of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The share of the requests that is copied.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// How many copies are under way at once at most.
    #[must_use]
    pub fn max_in_flight(mut self, copies: usize) -> Self {
        self.max_in_flight = copies;
        self
    }

    /// For how long a copy is under way at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Which requests are copied.
    #[must_use]
    pub fn requests(
        mut self,
        says: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.requests = Some(Select::by(says));
        self
    }

    /// Tells the time.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Decides which are copied.
    #[must_use]
    pub fn rng(mut self, rng: Rng) -> Self {
        self.rng = rng;
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        require_name("name", &self.name, "a mirror")?;
        require_share("share", self.share)?;
        require(
            !self.timeout.is_zero(),
            "timeout",
            || "0 leaves a copy no time; use some seconds",
        )
    }

    /// Whether a request is one of those that are copied.
    pub(super) fn selects<B>(&self, request: &Request<B>) -> bool {
        match &self.requests {
            Some(select) => select.0(&RequestHead::of(request)),
            None => request.method().is_safe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
        assert_eq!(Config::default().validate(), Ok(()));
        let refused = [
            (Config::new(""), "name"),
            (Config::default().share(1.1), "share"),
            (Config::default().share(f64::NAN), "share"),
            (Config::default().timeout(Duration::ZERO), "timeout"),
        ];
        for (config, field) in refused {
            assert_eq!(config.validate().unwrap_err().field(), field);
        }
    }
}
