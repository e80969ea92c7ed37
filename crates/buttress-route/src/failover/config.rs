//! What failover is set to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::config::{ConfigError, require, require_name};
use http::request::Parts;
use http::{Method, StatusCode};

use super::budget::Budget;
use crate::attempted::MOST;

/// What failover is set to. Every field has a default that suits a gateway.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The pool's name, in metrics; not empty. Fixed when the layer is made. Default `default`.
    pub pool: Arc<str>,
    /// Whether requests are sent again at all. Default `true`.
    pub enabled: bool,
    /// How often a request is sent at most, the first time among them. From 1 to 8; default 3.
    pub attempts: u32,
    /// No attempt is begun later than this after the request came. More than 0; default 10 s.
    pub within: Duration,
    /// Answers that another endpoint might give better. Default: 502, 503, 504. A deadline that passed
    /// counts as 504, a broken transport always.
    pub statuses: Vec<StatusCode>,
    /// Bodies are held up to so many bytes. A request of which more is known to come, or has been sent, is not sent again.
    /// Default 64 KiB.
    pub max_body: usize,
    /// Whether a request with the header `Idempotency-Key` may be sent again. Default `false`: the client
    /// says that it is safe, and only the upstream knows.
    pub idempotency_key: bool,
    /// Which requests may be sent again beside those whose method says so. Default: none.
    pub idempotent: Option<Idempotent>,
    /// How many requests that may have reached an endpoint are sent again.
    pub budget: Budget,
    /// Tells the time. Fixed when the layer is made.
    pub clock: Clock,
}

/// Says of a request's head whether it may reach an upstream twice. It may panic, and harms its own
/// request alone.
#[derive(Clone)]
pub struct Idempotent(Arc<dyn Fn(&Parts) -> bool + Send + Sync>);

impl Idempotent {
    /// By this function.
    pub fn by(says: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(says))
    }
}

impl fmt::Debug for Idempotent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idempotent")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pool: Arc::from("default"),
            enabled: true,
            attempts: 3,
            within: Duration::from_secs(10),
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            max_body: 64 << 10,
            idempotency_key: false,
            idempotent: None,
            budget: Budget::default(),
            clock: Clock::default(),
        }
    }
}

impl Config {
    /// The defaults, for a pool of this name.
    pub fn new(pool: impl Into<Arc<str>>) -> Self {
        Self {
            pool: pool.into(),
            ..Self::default()
        }
    }

    /// Whether requests are sent again at all.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// How often a request is sent at most.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// For how long after a request came it may be sent again.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Answers that another endpoint might give better.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// Bodies are held up to so many bytes.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Whether `Idempotency-Key` is believed.
    #[must_use]
    pub fn idempotency_key(mut self, believed: bool) -> Self {
        self.idempotency_key = believed;
        self
    }

    /// Which requests may be sent again beside those whose method says so.
    #[must_use]
    pub fn idempotent(mut self, says: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.idempotent = Some(Idempotent::by(says));
        self
    }

    /// How many are sent again.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Tells the time.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        require_name("pool", &self.pool, "a pool")?;
        let most = u32::try_from(MOST).unwrap_or(u32::MAX);
        require((1..=most).contains(&self.attempts), "attempts", || {
            format!(
                "{} is no number of attempts; use 1 to {most}",
                self.attempts
            )
        })?;
        require(
            !self.within.is_zero(),
            "within",
            || "0 leaves no time for another attempt; use some seconds",
        )?;
        self.budget.validate()
    }

    /// Whether a request of this head may reach an upstream twice.
    pub(super) fn is_idempotent(&self, head: &Parts) -> bool {
        is_idempotent(&head.method)
            || (self.idempotency_key && head.headers.contains_key("idempotency-key"))
            || self.idempotent.as_ref().is_some_and(|says| says.0(head))
    }
}

/// RFC 9110 §9.2.2.
fn is_idempotent(method: &Method) -> bool {
    method.is_safe() || matches!(*method, Method::PUT | Method::DELETE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_configuration_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
        let refused = [
            (Config::new(""), "pool"),
            (Config::default().attempts(0), "attempts"),
            (Config::default().attempts(9), "attempts"),
            (Config::default().within(Duration::ZERO), "within"),
            (
                Config::default().budget(Budget::new(2.0, 1.0)),
                "budget.share",
            ),
        ];
        for (config, field) in refused {
            assert_eq!(config.validate().unwrap_err().field(), field);
        }
    }

    #[test]
    fn a_method_a_key_or_the_user_says_what_may_be_sent_twice() {
        let head = |method: &str, key: bool| {
            let request = http::Request::builder().method(method).uri("/pay");
            let request = if key {
                request.header("idempotency-key", "1")
            } else {
                request
            };
            request.body(()).unwrap().into_parts().0
        };
        let plain = Config::default();
        for (method, may) in [
            ("GET", true),
            ("HEAD", true),
            ("OPTIONS", true),
            ("PUT", true),
            ("DELETE", true),
            ("POST", false),
            ("PATCH", false),
        ] {
            assert_eq!(plain.is_idempotent(&head(method, false)), may, "{method}");
        }
        assert!(!plain.is_idempotent(&head("POST", true)));
        let keyed = Config::default().idempotency_key(true);
        assert!(keyed.is_idempotent(&head("POST", true)));
        let users = Config::default().idempotent(|head| head.uri.path() == "/pay");
        assert!(users.is_idempotent(&head("POST", false)));
    }
}
