//! How long a host works on a request.

use std::time::Duration;

use buttress_core::rng::Rng;

/// A distribution of service times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ServiceTime {
    /// Lognormal with this mean and this σ of the logarithm.
    Lognormal {
        /// The mean.
        mean: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// Pareto with this mean and shape; the shape is above 1.
    Pareto {
        /// The mean.
        mean: Duration,
        /// The shape, α.
        shape: f64,
    },
    /// Lognormal, and a share that takes so many times as long.
    Tailed {
        /// The mean of the ordinary.
        mean: Duration,
        /// The standard deviation of the ordinary's logarithm.
        sigma: f64,
        /// The share of the long ones.
        share: f64,
        /// How many times as long they take.
        times: f64,
    },
    /// Anything up to twice the mean, each as likely.
    Uniform {
        /// The mean.
        mean: Duration,
    },
    /// Normal, cut off at 0.
    Normal {
        /// The mean.
        mean: Duration,
        /// The standard deviation.
        deviation: Duration,
    },
}

impl ServiceTime {
    /// The mean of what [`ServiceTime::draw`] gives.
    pub fn mean(&self) -> Duration {
        match *self {
            Self::Lognormal { mean, .. }
            | Self::Pareto { mean, .. }
            | Self::Uniform { mean }
            | Self::Normal { mean, .. } => mean,
            Self::Tailed {
                mean, share, times, ..
            } => mean.mul_f64(1.0 + share * (times - 1.0)),
        }
    }

    /// The next service time.
    pub fn draw(&self, rng: &Rng) -> Duration {
        match *self {
            Self::Lognormal { mean, sigma } => lognormal(mean, sigma, rng),
            Self::Pareto { mean, shape } => {
                let least = mean.mul_f64((shape - 1.0) / shape);
                least.mul_f64((1.0 - rng.unit()).powf(-1.0 / shape).min(MOST))
            }
            Self::Tailed {
                mean,
                sigma,
                share,
                times,
            } => {
                let long = if rng.unit() < share { times } else { 1.0 };
                lognormal(mean, sigma, rng).mul_f64(long)
            }
            Self::Uniform { mean } => mean.mul_f64(2.0 * rng.unit()),
            Self::Normal { mean, deviation } => {
                let seconds = mean.as_secs_f64() + deviation.as_secs_f64() * normal(rng);
                Duration::from_secs_f64(seconds.max(0.0))
            }
        }
    }
}

/// The longest, in units of the least: a Pareto tail has no end, and a simulated day has.
const MOST: f64 = 1e6;

fn lognormal(mean: Duration, sigma: f64, rng: &Rng) -> Duration {
    mean.mul_f64((sigma * normal(rng) - sigma * sigma / 2.0).exp())
}

/// Standard normal, by Box and Muller (1958).
fn normal(rng: &Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.unit()).cos()
}

/// The time to the next arrival at `rate` a second, where arrivals know nothing of each other.
pub(crate) fn until_next(rate: f64, rng: &Rng) -> Duration {
    Duration::from_secs_f64(-(1.0 - rng.unit()).ln() / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: Duration = Duration::from_millis(50);

    fn mean_of_many(times: ServiceTime) -> f64 {
        let rng = Rng::seeded(1);
        let total: f64 = (0..200_000).map(|_| times.draw(&rng).as_secs_f64()).sum();
        total / 200_000.0
    }

    #[test]
    fn what_is_drawn_has_the_mean_that_is_said() {
        let deviation = Duration::from_millis(5);
        for (times, tolerance) in [
            (
                ServiceTime::Lognormal {
                    mean: MEAN,
                    sigma: 0.25,
                },
                0.01,
            ),
            (
                ServiceTime::Lognormal {
                    mean: MEAN,
                    sigma: 1.0,
                },
                0.02,
            ),
            (
                ServiceTime::Pareto {
                    mean: MEAN,
                    shape: 2.5,
                },
                0.03,
            ),
            (
                ServiceTime::Tailed {
                    mean: MEAN,
                    sigma: 0.25,
                    share: 0.01,
                    times: 20.0,
                },
                0.03,
            ),
            (ServiceTime::Uniform { mean: MEAN }, 0.01),
            (
                ServiceTime::Normal {
                    mean: MEAN,
                    deviation,
                },
                0.01,
            ),
        ] {
            let (shown, said) = (mean_of_many(times), times.mean().as_secs_f64());
            assert!(
                (shown / said - 1.0).abs() < tolerance,
                "{times:?}: {shown} for {said}"
            );
        }
    }
}
