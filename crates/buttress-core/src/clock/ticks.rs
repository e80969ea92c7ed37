//! A point in time as a clock counts it.

/// What a clock counts, before it is turned into time by [`Clock::instant`](super::Clock::instant). Only ticks of
/// one clock can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(u64);

impl Ticks {
    /// Those of [`Instant::NEVER`](super::Instant::NEVER).
    pub const NEVER: Self = Self(u64::MAX);

    /// So many.
    #[inline]
    pub const fn from_count(count: u64) -> Self {
        Self(count)
    }

    /// How many they are.
    #[inline]
    pub const fn count(self) -> u64 {
        self.0
    }

    /// How many have passed since `earlier`, none if that is later.
    #[inline]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
