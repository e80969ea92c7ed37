//! What a route owes its users, and how fast it fails them.

mod metrics;
mod ring;
mod tracker;
mod view;

pub(crate) use metrics::families;
pub(crate) use tracker::{Goals, Tracked, track};
pub use view::{Burn, BurnWindow, Goal, ObjectiveSnapshot};

use std::time::Duration;

use buttress_core::config::ConfigError;

const DAY: Duration = Duration::from_secs(24 * 3600);
const PERIOD: Duration = DAY.saturating_mul(30);
const LONGEST_PERIOD: Duration = DAY.saturating_mul(366);
/// The longest window of the burn rates.
const SHORTEST_PERIOD: Duration = DAY.saturating_mul(3);

/// What a route is to keep: a share of its exchanges fast enough, a share of them answered, or both.
///
/// **Latency** judges what succeeded, and whatever took longer than the threshold: a failure or an
/// abandoned exchange is slow if it took long, and not counted if it was quick. **Availability** judges
/// what succeeded, what failed and what was refused on this side; what a client abandoned says nothing.
///
/// What is left of the error budget and how fast it burns is in [`ObjectiveSnapshot`] and in the
/// metrics. It is known since the start of the process, and counted to the slice: a tenth of each
/// short window.
///
/// Where a latency is heading is there as well: when its quantile will pass the threshold, if the
/// evidence bears saying so ([`crate::Trend::passes`]).
///
/// ```
/// use std::time::Duration;
/// use buttress_latency::{Config, LatencyHandle, Objective};
///
/// let objective = Objective::new()
///     .latency(Duration::from_millis(250), 0.99)
///     .availability(0.999);
/// let handle = LatencyHandle::new(Config::new().objective("/orders/{id}", objective))?;
/// assert_eq!(handle.snapshot().objectives.len(), 2);
/// # Ok::<(), buttress_core::config::ConfigError>(())
/// ```
///
/// # Cost
///
/// Two additions to a record on a route that has one. At most 15 KiB for each of its goals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    latency: Option<(Duration, f64)>,
    availability: Option<f64>,
    period: Duration,
}

impl Objective {
    /// Nothing yet, over a period of 30 days.
    pub const fn new() -> Self {
        Self {
            latency: None,
            availability: None,
            period: PERIOD,
        }
    }

    /// The share `target` of exchanges, above 0 and below 1, takes at most `threshold`.
    #[must_use]
    pub const fn latency(mut self, threshold: Duration, target: f64) -> Self {
        self.latency = Some((threshold, target));
        self
    }

    /// The share `target` of exchanges, above 0 and below 1, is answered and is no failure.
    #[must_use]
    pub const fn availability(mut self, target: f64) -> Self {
        self.availability = Some(target);
        self
    }

    /// The period that the error budget is for: 3 to 366 days, 30 by default.
    #[must_use]
    pub const fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// Each goal with its target.
    fn goals(&self) -> impl Iterator<Item = (Goal, f64)> {
        let latency = self
            .latency
            .map(|(within, target)| (Goal::Latency(within), target));
        let availability = self.availability.map(|target| (Goal::Availability, target));
        latency.into_iter().chain(availability)
    }

    /// Refuses what makes no sense.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |problem: String| Err(ConfigError::new("objective", problem));
        if self.goals().next().is_none() {
            return refuse("it asks for nothing; give it a latency or an availability".into());
        }
        if let Some((_, bad)) = self
            .goals()
            .find(|(_, target)| !(*target > 0.0 && *target < 1.0))
        {
            return refuse(format!(
                "{bad} is no share to be kept; use one above 0 and below 1"
            ));
        }
        if !(SHORTEST_PERIOD..=LONGEST_PERIOD).contains(&self.period) {
            return refuse(format!("{:?} is no period; use 3 to 366 days", self.period));
        }
        Ok(())
    }
}

impl Default for Objective {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_that_makes_no_sense_is_refused() {
        let second = Duration::from_secs(1);
        assert!(Objective::new().validate().is_err());
        for target in [0.0, 1.0, -1.0, 99.0, f64::NAN, f64::INFINITY] {
            assert!(Objective::new().availability(target).validate().is_err());
            assert!(Objective::new().latency(second, target).validate().is_err());
        }
        let sound = Objective::new().availability(0.999);
        assert!(sound.validate().is_ok());
        let error = sound.period(second).validate().unwrap_err();
        assert_eq!(
            error.to_string(),
            "objective: 1s is no period; use 3 to 366 days"
        );
    }
}
