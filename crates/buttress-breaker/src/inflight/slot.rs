//! One word of a ring: how many calls, and of which bucket.

/// The buckets of a ring. A threshold is less than 32 bucket widths, so that half of them are in use.
pub(super) const BUCKETS: usize = 64;
/// A word: count (24), number of the bucket (20), generation (12), plan (8), from the lowest bit.
pub(super) const COUNT: u64 = (1 << 24) - 1;
pub(super) const EPOCH_SHIFT: u32 = 24;
pub(super) const EPOCH: u64 = (1 << 20) - 1;
pub(super) const GENERATION_SHIFT: u32 = 44;
pub(super) const GENERATION: u64 = (1 << 12) - 1;
const PLAN_SHIFT: u32 = 56;

/// What the rings are set to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan(pub(super) u64);

impl Plan {
    #[inline]
    pub(super) const fn number(self) -> u8 {
        let [number, ..] = self.0.to_le_bytes();
        number
    }

    #[inline]
    pub(super) fn shift(self, place: usize) -> Option<u32> {
        let shift = (self.0 >> (8 * (place + 1))) & 0xff;
        (shift as u32).checked_sub(1)
    }
}

/// A bucket and its tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) at: usize,
    pub(super) tag: u64,
}

impl Slot {
    #[inline]
    pub(super) fn of(epoch: u64, generation: u64, plan: Plan) -> Self {
        let tag = (epoch & EPOCH) << EPOCH_SHIFT
            | (generation & GENERATION) << GENERATION_SHIFT
            | u64::from(plan.number()) << PLAN_SHIFT;
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is small")]
        let at = (epoch % BUCKETS as u64) as usize;
        Self { at, tag }
    }

    /// Whether `word` is of a later bucket than this, of the same generation and plan: whoever comes so late
    /// is not to take the place of those who are in time.
    pub(super) fn is_late_for(self, word: u64) -> bool {
        let epoch = |tag: u64| tag >> EPOCH_SHIFT & EPOCH;
        let behind = epoch(word).wrapping_sub(epoch(self.tag)) & EPOCH;
        (word ^ self.tag) >> GENERATION_SHIFT == 0 && (1..=EPOCH / 2).contains(&behind)
    }

    /// Whether the calls that `word` counts are of an earlier generation or plan than this.
    pub(super) fn outlives(self, word: u64) -> bool {
        let generation = |tag: u64| tag >> GENERATION_SHIFT & GENERATION;
        let behind = generation(self.tag).wrapping_sub(generation(word)) & GENERATION;
        word >> PLAN_SHIFT != self.tag >> PLAN_SHIFT || (1..=GENERATION / 2).contains(&behind)
    }
}
