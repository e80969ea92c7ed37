//! What a correlation layer has counted, and changing what it does.

use std::borrow::Cow;
use std::sync::Arc;

use buttress_core::config::ConfigError;
use buttress_core::metric::{Collect, Family, Kind, Value};

use crate::counters::Counted;
use crate::live::Shared;
use crate::{Config, InvalidId};

/// Reads what a [`crate::CorrelationLayer`] has counted, in all its services, and reconfigures it.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct CorrelationHandle(pub(crate) Arc<Shared>);

/// What has been counted since the layer was made. Each request is in exactly one of `minted`,
/// `accepted` and `inherited`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CorrelationSnapshot {
    /// Requests that were given a new ID.
    pub minted: u64,
    /// Requests whose own ID was accepted.
    pub accepted: u64,
    /// Requests that a correlation layer further out had given an ID.
    pub inherited: u64,
    /// Headers that were there and empty.
    pub empty: u64,
    /// Headers longer than an ID may be.
    pub too_long: u64,
    /// Headers with a byte that no ID has.
    pub charset: u64,
    /// Headers that came more than once.
    pub repeated: u64,
}

impl CorrelationHandle {
    /// Replaces the configuration of the live layer, whole or, if it makes no sense, not at all. Each
    /// request is served by one configuration from its beginning to its echo; the counts stay.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        config.validate()?;
        self.0.replace(config);
        Ok(())
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        self.0.config()
    }

    /// The counts as they are now.
    pub fn snapshot(&self) -> CorrelationSnapshot {
        let read = |kind| self.0.counters.total(kind);
        CorrelationSnapshot {
            minted: read(Counted::Minted),
            accepted: read(Counted::Accepted),
            inherited: read(Counted::Inherited),
            empty: read(Counted::Empty),
            too_long: read(Counted::TooLong),
            charset: read(Counted::Charset),
            repeated: read(Counted::Repeated),
        }
    }
}

impl Collect for CorrelationHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let now = self.snapshot();
        into.push(counter(
            "buttress_correlation_ids",
            "Requests by where their correlation ID came from; their sum is all requests.",
            "source",
            &[
                ("minted", now.minted),
                ("accepted", now.accepted),
                ("inherited", now.inherited),
            ],
        ));
        into.push(counter(
            "buttress_correlation_rejected",
            "Correlation IDs sent by clients that were replaced, by what was wrong with them.",
            "reason",
            &[
                (InvalidId::Empty.as_str(), now.empty),
                (InvalidId::TooLong.as_str(), now.too_long),
                (InvalidId::Charset.as_str(), now.charset),
                (InvalidId::Repeated.as_str(), now.repeated),
            ],
        ));
    }
}

fn counter(
    name: &'static str,
    help: &'static str,
    label: &'static str,
    points: &[(&'static str, u64)],
) -> Family {
    let mut family = Family::new(name, Kind::Counter, help);
    for &(value, count) in points {
        let labels = vec![(label, Cow::Borrowed(value))];
        family.push(labels, Value::Counter(count));
    }
    family
}
