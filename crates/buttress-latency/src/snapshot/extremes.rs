//! The shortest and the longest, where they are known better than by their buckets.

/// Of what a recorder counted they are known exactly; of a difference of snapshots they are not, nor
/// of a sum with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extremes(Option<(u64, u64)>);

impl Extremes {
    pub(crate) const UNKNOWN: Self = Self(None);

    /// Of nothing: `u64::MAX` and 0.
    pub(crate) const fn exactly(shortest: u64, longest: u64) -> Self {
        Self(Some((shortest, longest)))
    }

    /// Of both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(
            self.0
                .zip(other.0)
                .map(|((shortest, longest), (a, b))| (shortest.min(a), longest.max(b))),
        )
    }

    pub(crate) fn shortest(self) -> Option<u64> {
        self.0.map(|(shortest, _)| shortest)
    }

    pub(crate) fn longest(self) -> Option<u64> {
        self.0.map(|(_, longest)| longest)
    }
}

impl Default for Extremes {
    fn default() -> Self {
        Self::exactly(u64::MAX, 0)
    }
}
