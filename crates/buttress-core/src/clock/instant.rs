//! A point in time whose arithmetic cannot fail.

use std::time::Duration;

/// Nanoseconds since the origin of a [`super::Clock`]. Wide enough for five centuries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ORIGIN: Self = Self(0);
    /// Later than every other instant: a deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This instant and `duration` more, at most [`Instant::NEVER`].
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// This instant less `duration`, at least [`Instant::ORIGIN`].
    #[inline]
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// The time from `earlier` to this instant, zero if `earlier` is later.
    #[inline]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The whole nanoseconds of `duration`, at most `u64::MAX`.
#[inline]
const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the line above")]
        let nanos = nanos as u64;
        nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_duration_is_safe_to_add_and_to_take_away() {
        let now = Instant::from_nanos(5);
        assert_eq!(now.saturating_add(Duration::MAX), Instant::NEVER);
        assert_eq!(now.saturating_sub(Duration::MAX), Instant::ORIGIN);
        assert_eq!(now.saturating_since(Instant::NEVER), Duration::ZERO);
        assert_eq!(
            now.saturating_add(Duration::from_nanos(3)),
            Instant::from_nanos(8)
        );
    }
}
