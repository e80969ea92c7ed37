//! From a duration to its bucket in two nanoseconds.
//!
//! The bits of a floating-point number are its logarithm, all but a look-up: the exponent is the
//! octave, the first seven bits of the mantissa say which buckets it may be in (never more than two)
//! and one comparison decides.

use super::bounds::{
    BUCKETS, HIGHEST_NANOS, LOWEST_NANOS, MIN_INDEX, OCTAVE_BUCKETS, OCTAVES, ROOTS, SPLITS,
};

/// Where a duration is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Shorter than all buckets.
    Below,
    /// In an octave's bucket, or in the lower part of one that a classic bound cuts.
    Bucket {
        /// The octave.
        octave: usize,
        /// The bucket in it.
        position: usize,
    },
    /// In the upper part of the nth bucket that a classic bound cuts.
    Upper(usize),
    /// Longer than all buckets.
    Above,
}

/// How many ordinals there are of octaves and what is beyond them.
pub(crate) const PLACES: usize = OCTAVES + 2;

const MANTISSA_BITS: u32 = 52;
const CELL_BITS: u32 = 7;
const CELLS: usize = 1 << CELL_BITS;

/// The mantissas of `2^(k/64)`, rounded down; one more that nothing exceeds.
static MANTISSAS: [u64; OCTAVE_BUCKETS + 1] = mantissas();
/// For each cell of mantissas, how many edges lie below all of it.
static EDGES_BELOW: [u8; CELLS] = edges_below();
/// The cut buckets of each octave: at most two.
static SPLITS_OF: [[OctaveSplit; 2]; OCTAVES] = splits_of();

#[derive(Clone, Copy)]
struct OctaveSplit {
    bucket: usize,
    at: u64,
    nth: usize,
}

const NO_SPLIT: OctaveSplit = OctaveSplit {
    bucket: usize::MAX,
    at: u64::MAX,
    nth: 0,
};

impl Place {
    /// The ordinal of its octave, ascending with durations; below and above count as one each.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "there is a cut for every upper part"
    )]
    pub(crate) fn ordinal(self) -> usize {
        match self {
            Self::Below => 0,
            Self::Bucket { octave, .. } => octave + 1,
            Self::Upper(nth) => SPLITS[nth].bucket / OCTAVE_BUCKETS + 1,
            Self::Above => PLACES - 1,
        }
    }
}

/// Where `nanos` is counted.
#[inline]
pub(crate) fn place(nanos: u64) -> Place {
    if nanos <= LOWEST_NANOS {
        return Place::Below;
    }
    if nanos > HIGHEST_NANOS {
        return Place::Above;
    }
    let bucket = bucket(nanos);
    let octave = (bucket / OCTAVE_BUCKETS) % OCTAVES;
    #[expect(clippy::indexing_slicing, reason = "an octave is below OCTAVES")]
    for split in &SPLITS_OF[octave] {
        if split.bucket == bucket && nanos > split.at {
            return Place::Upper(split.nth);
        }
    }
    Place::Bucket {
        octave,
        position: bucket % OCTAVE_BUCKETS,
    }
}

/// The bucket of `nanos`, which is within range.
#[inline]
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the cell has seven bits, the count of edges is at most 64, the exponent eleven bits"
)]
fn bucket(nanos: u64) -> usize {
    // Signed, because that is one instruction.
    let bits = (nanos as i64 as f64 * 1e-9).to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - 1023;
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
    let below = EDGES_BELOW[(mantissa >> (MANTISSA_BITS - CELL_BITS)) as usize];
    let above_edge = mantissa > MANTISSAS[below as usize];
    let index = exponent * 64 + i32::from(below) + i32::from(above_edge);
    (index - MIN_INDEX) as usize
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time"
)]
const fn mantissas() -> [u64; OCTAVE_BUCKETS + 1] {
    let mut mantissas = [u64::MAX; OCTAVE_BUCKETS + 1];
    let mut k = 0;
    while k < OCTAVE_BUCKETS {
        mantissas[k] = ((ROOTS[k] - (1 << 63)) >> (63 - MANTISSA_BITS)) as u64;
        k += 1;
    }
    mantissas
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn edges_below() -> [u8; CELLS] {
    let mut below = [0; CELLS];
    let mut cell = 0;
    while cell < CELLS {
        let start = (cell as u64) << (MANTISSA_BITS - CELL_BITS);
        while MANTISSAS_CONST[below[cell] as usize] < start {
            below[cell] += 1;
        }
        cell += 1;
    }
    below
}

const MANTISSAS_CONST: [u64; OCTAVE_BUCKETS + 1] = mantissas();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn splits_of() -> [[OctaveSplit; 2]; OCTAVES] {
    let mut of = [[NO_SPLIT; 2]; OCTAVES];
    let mut nth = 0;
    while nth < SPLITS.len() {
        let split = SPLITS[nth];
        assert!(split.bucket < BUCKETS);
        let octave = &mut of[split.bucket / OCTAVE_BUCKETS];
        let free = if octave[0].bucket == usize::MAX { 0 } else { 1 };
        octave[free] = OctaveSplit {
            bucket: split.bucket,
            at: split.at,
            nth,
        };
        nth += 1;
    }
    of
}

#[cfg(test)]
mod tests {
    use super::super::bounds::{bucket_by_search, edge_nanos};
    use super::*;
    use proptest::prelude::*;

    /// The index never falls as the duration rises, so the edges and their neighbours prove it
    /// everywhere.
    #[test]
    fn every_edge_and_the_nanosecond_after_it_fall_where_they_belong() {
        for n in 0..BUCKETS {
            let edge = edge_nanos(n + 1);
            assert_eq!(bucket(edge), n, "the edge {edge} ns");
            assert_eq!(bucket(edge - 1), bucket_by_search(edge - 1));
            if n + 1 < BUCKETS {
                assert_eq!(bucket(edge + 1), n + 1, "just after {edge} ns");
            }
        }
    }

    #[test]
    fn what_is_out_of_range_has_its_own_place() {
        assert_eq!(place(0), Place::Below);
        assert_eq!(place(LOWEST_NANOS), Place::Below);
        assert_ne!(place(LOWEST_NANOS + 1), Place::Below);
        assert_ne!(place(HIGHEST_NANOS), Place::Above);
        assert_eq!(place(HIGHEST_NANOS + 1), Place::Above);
        assert_eq!(place(u64::MAX), Place::Above);
    }

    #[test]
    fn ordinals_ascend_with_durations_and_change_where_an_octave_ends() {
        let of = |nanos| place(nanos).ordinal();
        assert_eq!((of(0), of(u64::MAX)), (0, PLACES - 1));
        for octave in 0..OCTAVES {
            let last = edge_nanos((octave + 1) * OCTAVE_BUCKETS);
            assert_eq!((of(last), of(last + 1)), (octave + 1, octave + 2));
        }
        for split in &SPLITS {
            assert_eq!(of(split.at + 1), of(split.at));
        }
    }

    #[test]
    fn a_classic_bound_cuts_its_bucket_after_itself() {
        for (nth, split) in SPLITS.iter().enumerate() {
            assert_ne!(place(split.at), Place::Upper(nth));
            assert_eq!(place(split.at + 1), Place::Upper(nth));
        }
    }

    proptest! {
        #[test]
        fn the_bucket_is_the_one_that_bisection_finds(nanos in LOWEST_NANOS + 1..=HIGHEST_NANOS) {
            prop_assert_eq!(bucket(nanos), bucket_by_search(nanos));
        }

        #[test]
        fn the_bucket_of_a_short_duration_is_right_too(nanos in LOWEST_NANOS + 1..100_000_000) {
            prop_assert_eq!(bucket(nanos), bucket_by_search(nanos));
        }
    }
}
