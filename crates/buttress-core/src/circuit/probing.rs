//! What ends half-open, and how many probes that takes.

use std::num::NonZeroU32;

use crate::config::ConfigError;

/// What ends half-open.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Probing {
    /// This many probes that succeed end it well; a single one that fails or is slow opens the circuit
    /// again.
    Successes(NonZeroU32),
    /// The first `probes` to end are judged together, as early as it is clear how.
    Rate {
        /// How many probes are judged.
        probes: NonZeroU32,
        /// With more than this share of them failed or slow the circuit opens again. At least 0, below
        /// 1.
        max_bad_ratio: f64,
    },
}

impl Probing {
    /// How many probes have to end well if none ends badly.
    pub fn needed(&self) -> u32 {
        match *self {
            Self::Successes(n) => n.get(),
            Self::Rate { probes, .. } => probes.get() - self.bearable(),
        }
    }

    /// How many may end badly.
    pub(super) fn bearable(&self) -> u32 {
        match *self {
            Self::Successes(_) => 0,
            Self::Rate {
                probes,
                max_bad_ratio,
            } => {
                // A share that was written as a decimal is that decimal: 0.3 of ten is three.
                let bearable = f64::from(probes.get()) * max_bad_ratio + 1e-9;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a cast of a float saturates; whole probes are counted"
                )]
                let bearable = bearable as u32;
                bearable.min(probes.get() - 1)
            }
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Rate { max_bad_ratio, .. } if !(0.0..1.0).contains(&max_bad_ratio) => {
                let problem = format!(
                    "{max_bad_ratio} is no share of probes that is borne; use 0 or more, below 1"
                );
                Err(ConfigError::new("probing.max_bad_ratio", problem))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn rate(probes: u32, max_bad_ratio: f64) -> Probing {
        Probing::Rate {
            probes: of(probes),
            max_bad_ratio,
        }
    }

    #[test]
    fn a_rate_bears_as_many_bad_probes_as_its_share_says() {
        let cases = [
            (rate(4, 0.25), 1),
            (rate(10, 0.3), 3),
            (rate(10, 0.29), 2),
            (rate(1, 0.9), 0),
            (rate(3, 0.0), 0),
            (rate(7, 0.999_999_999_999), 6),
            (Probing::Successes(of(5)), 0),
        ];
        for (probing, bearable) in cases {
            assert_eq!(probing.bearable(), bearable, "{probing:?}");
        }
    }
}
