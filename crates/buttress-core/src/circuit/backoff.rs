//! How long to stay away, by how often in a row one had to.

use std::sync::Arc;
use std::time::Duration;

use super::SHORTEST;
use crate::config::{ConfigError, require};
use crate::rng::Rng;

/// `base × factor^attempt`, or a table by attempt; at most `cap`, with jitter. No duration is shorter than
/// a millisecond.
///
/// There is no longest one: a circuit that opens for longer than its process lives is one that somebody
/// closes by hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    schedule: Schedule,
    cap: Duration,
    jitter: Jitter,
}

#[derive(Clone, Debug, PartialEq)]
enum Schedule {
    Rising {
        base: Duration,
        factor: f64,
    },
    /// The last one repeats.
    Table(Arc<[Duration]>),
}

/// The longest table.
const MAX_TABLE: usize = 64;

/// How a duration is spread, so that many do not come back at once.
///
/// All but [`Jitter::Upward`] are those of "Exponential Backoff And Jitter" (Brooker, AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Exactly the duration.
    None,
    /// Between the duration and a quarter more: never shorter than was asked for.
    Upward,
    /// Between half the duration and all of it.
    Equal,
    /// Between a millisecond and all of it.
    Full,
}

impl Default for Backoff {
    /// 5 s, doubling up to 60 s, each up to a quarter longer.
    fn default() -> Self {
        Self::exponential(Duration::from_secs(5), Duration::from_secs(60))
    }
}

impl Backoff {
    /// The same duration every time, without jitter.
    pub const fn constant(duration: Duration) -> Self {
        Self {
            schedule: Schedule::Rising {
                base: duration,
                factor: 1.0,
            },
            cap: duration,
            jitter: Jitter::None,
        }
    }

    /// `base`, doubling up to `cap`, each up to a quarter longer as far as `cap` allows: no duration
    /// is shorter than `base` ([`Jitter::Upward`]).
    pub const fn exponential(base: Duration, cap: Duration) -> Self {
        Self {
            schedule: Schedule::Rising { base, factor: 2.0 },
            cap,
            jitter: Jitter::Upward,
        }
    }

    /// These durations, one for each attempt; the last one repeats. From 1 to 64, each at least 1 ms,
    /// without jitter. The longest is the cap.
    ///
    /// It is a table and no function, because it is looked up under a lock.
    pub fn by_attempt(durations: impl IntoIterator<Item = Duration>) -> Self {
        let table: Arc<[_]> = durations.into_iter().take(MAX_TABLE + 1).collect();
        Self {
            cap: table.iter().copied().max().unwrap_or_default(),
            schedule: Schedule::Table(table),
            jitter: Jitter::None,
        }
    }

    /// With this factor between attempts, at least 1, where no table says otherwise.
    #[must_use]
    pub const fn factor(mut self, factor: f64) -> Self {
        if let Schedule::Rising { factor: old, .. } = &mut self.schedule {
            *old = factor;
        }
        self
    }

    /// With this jitter.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The first duration, before jitter.
    pub fn base(&self) -> Duration {
        self.full(0)
    }

    /// No duration is longer than this.
    pub const fn cap(&self) -> Duration {
        self.cap
    }

    /// The duration for `attempt`, counted from 0.
    pub fn duration(&self, attempt: u32, rng: &Rng) -> Duration {
        let full = self.full(attempt);
        let share = match self.jitter {
            Jitter::None => return full,
            Jitter::Upward => 1.0 + rng.unit() / 4.0,
            Jitter::Equal => 0.5 + rng.unit() / 2.0,
            Jitter::Full => rng.unit(),
        };
        let (least, most) = match self.jitter {
            Jitter::Upward => (full, self.cap),
            _ => (SHORTEST, full),
        };
        // The longest duration there is rounds up to one second more, which is none.
        Duration::try_from_secs_f64(full.as_secs_f64() * share)
            .map_or(most, |spread| spread.max(least).min(most))
    }

    /// The duration for `attempt` before jitter.
    fn full(&self, attempt: u32) -> Duration {
        match &self.schedule {
            Schedule::Rising { base, .. } if attempt == 0 => (*base).min(self.cap),
            Schedule::Rising { base, factor } => {
                let exponent = i32::try_from(attempt).unwrap_or(i32::MAX);
                let seconds = base.as_secs_f64() * factor.powi(exponent);
                Duration::try_from_secs_f64(seconds)
                    .unwrap_or(self.cap)
                    .min(self.cap)
            }
            Schedule::Table(table) => {
                let at = usize::try_from(attempt).unwrap_or(usize::MAX);
                let found = table.get(at).or_else(|| table.last());
                found.copied().unwrap_or_default()
            }
        }
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match &self.schedule {
            Schedule::Rising { base, factor } => self.validate_rising(*base, *factor),
            Schedule::Table(table) => validate_table(table),
        }
    }

    fn validate_rising(&self, base: Duration, factor: f64) -> Result<(), ConfigError> {
        require(base >= SHORTEST, "open_for.base", || no_open_time(base))?;
        require(self.cap >= base, "open_for.cap", || {
            format!("{:?} is below the base of {base:?}", self.cap)
        })?;
        let rises = factor.is_finite() && factor >= 1.0;
        require(rises, "open_for.factor", || {
            format!("{factor} would shrink the open time; use 1 or more")
        })
    }
}

fn validate_table(table: &[Duration]) -> Result<(), ConfigError> {
    const FIELD: &str = "open_for.by_attempt";
    require((1..=MAX_TABLE).contains(&table.len()), FIELD, || {
        format!("no table has fewer than 1 or more than {MAX_TABLE} durations")
    })?;
    let long = |time: &Duration| require(*time >= SHORTEST, FIELD, || no_open_time(*time));
    table.iter().try_for_each(long)
}

fn no_open_time(time: Duration) -> String {
    format!("an open time of {time:?} is none; use at least {SHORTEST:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_doubles_up_to_its_cap() {
        let backoff = Backoff::exponential(Duration::from_secs(5), Duration::from_secs(60))
            .jitter(Jitter::None);
        let rng = Rng::seeded(1);
        let seconds: Vec<_> = (0..6)
            .map(|n| backoff.duration(n, &rng).as_secs())
            .collect();
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60]);
        assert_eq!(backoff.duration(u32::MAX, &rng), Duration::from_secs(60));
    }

    #[test]
    fn a_table_is_looked_up_by_attempt_and_its_last_duration_repeats() {
        let table = [3, 1, 7, 2].map(Duration::from_secs);
        let backoff = Backoff::by_attempt(table);
        let rng = Rng::seeded(1);
        let seconds = [0, 1, 2, 3, 4, u32::MAX].map(|n| backoff.duration(n, &rng).as_secs());
        assert_eq!(seconds, [3, 1, 7, 2, 2, 2]);
        assert_eq!((backoff.base(), backoff.cap()), (table[0], table[2]));
        let jittered = backoff.jitter(Jitter::Upward);
        let drawn = jittered.duration(1, &rng).as_secs_f64();
        assert!((1.0..=1.25).contains(&drawn), "{drawn}");
    }

    #[test]
    fn equal_jitter_keeps_at_least_half_and_at_most_all() {
        let backoff = Backoff::default().jitter(Jitter::Equal);
        let rng = Rng::seeded(2);
        let all: Vec<_> = (0..1_000)
            .map(|_| backoff.duration(0, &rng).as_secs_f64())
            .collect();
        assert!(all.iter().all(|s| (2.5..=5.0).contains(s)));
        assert!(all.iter().any(|s| *s < 3.0) && all.iter().any(|s| *s > 4.5));
        let mean = all.iter().sum::<f64>() / 1_000.0;
        assert!((mean - 3.75).abs() < 0.2, "spread unevenly: {mean}");
    }

    #[test]
    fn no_jitter_leaves_less_than_a_millisecond() {
        let rng = Rng::seeded(4);
        for jitter in [Jitter::None, Jitter::Upward, Jitter::Equal, Jitter::Full] {
            let shortest = Backoff::constant(SHORTEST).jitter(jitter);
            assert_eq!(shortest.duration(0, &rng), SHORTEST, "{jitter:?}");
        }
        let full = Backoff::constant(SHORTEST * 2).jitter(Jitter::Full);
        let mut drawn: Vec<_> = (0..100).map(|_| full.duration(0, &rng)).collect();
        drawn.sort_unstable();
        assert_eq!(drawn.first(), Some(&SHORTEST));
        assert!(drawn.last() > Some(&SHORTEST));
    }

    #[test]
    fn the_first_duration_is_to_the_nanosecond_what_was_asked_for() {
        let long = Duration::new(1 << 50, 1);
        assert_eq!(Backoff::constant(long).base(), long);
        let drawn = Backoff::constant(long).duration(0, &Rng::seeded(1));
        assert_eq!(drawn, long);
    }

    #[test]
    fn by_default_no_duration_is_shorter_than_asked_for_nor_longer_than_the_cap() {
        let backoff = Backoff::default();
        let rng = Rng::seeded(3);
        let all = |attempt| {
            std::iter::repeat_with(|| backoff.duration(attempt, &rng))
                .take(1_000)
                .collect::<Vec<_>>()
        };
        let seconds: Vec<_> = all(0).iter().map(Duration::as_secs_f64).collect();
        assert!(seconds.iter().all(|s| (5.0..=6.25).contains(s)));
        assert!(seconds.iter().any(|s| *s < 5.1) && seconds.iter().any(|s| *s > 6.1));
        assert!(all(9).iter().all(|it| *it == Duration::from_secs(60)));
    }

    #[test]
    fn a_backoff_that_makes_no_sense_is_refused_by_name() {
        let refused = [
            (Backoff::constant(Duration::ZERO), "open_for.base"),
            (
                Backoff::constant(SHORTEST.saturating_sub(Duration::from_nanos(1))),
                "open_for.base",
            ),
            (
                Backoff::exponential(Duration::from_secs(2), Duration::from_secs(1)),
                "open_for.cap",
            ),
            (Backoff::default().factor(f64::NAN), "open_for.factor"),
            (Backoff::default().factor(f64::INFINITY), "open_for.factor"),
            (Backoff::default().factor(0.9), "open_for.factor"),
            (Backoff::by_attempt([]), "open_for.by_attempt"),
            (
                Backoff::by_attempt([Duration::from_secs(1), Duration::from_micros(999)]),
                "open_for.by_attempt",
            ),
            (
                Backoff::by_attempt(std::iter::repeat(Duration::from_secs(1))),
                "open_for.by_attempt",
            ),
        ];
        for (backoff, field) in refused {
            assert_eq!(backoff.validate().unwrap_err().field(), field);
        }
    }

    #[test]
    fn the_longest_table_the_shortest_times_and_a_backoff_that_does_not_rise_make_sense() {
        let second = Duration::from_secs(1);
        let longest = Backoff::by_attempt([second; MAX_TABLE]);
        assert_eq!(longest.validate(), Ok(()));
        assert_eq!(Backoff::constant(second).validate(), Ok(()));
        assert_eq!(Backoff::constant(SHORTEST).validate(), Ok(()));
        assert_eq!(Backoff::by_attempt([SHORTEST]).validate(), Ok(()));
    }
}
