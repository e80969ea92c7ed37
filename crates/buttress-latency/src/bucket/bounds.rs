//! The bucket edges as exact integers, computed when the crate is compiled.
//!
//! Bucket `i` holds the durations in `(2^((i-1)/64), 2^(i/64)]` seconds. Durations are whole
//! nanoseconds, so comparing with the floor of an edge is the same as comparing with the edge.

/// Buckets in an octave: scale 6.
pub(crate) const OCTAVE_BUCKETS: usize = 64;
/// Octaves covered.
pub(crate) const OCTAVES: usize = 32;
/// All buckets.
pub(super) const BUCKETS: usize = OCTAVES * OCTAVE_BUCKETS;
/// The lowest edge is `2^MIN_EXPONENT` seconds, a little under a microsecond.
pub(super) const MIN_EXPONENT: i32 = -20;
/// The Prometheus index of the first bucket.
pub(super) const MIN_INDEX: i32 = MIN_EXPONENT * 64 + 1;
/// The longest duration that is below all buckets.
pub(crate) const LOWEST_NANOS: u64 = edge_nanos(0);
/// The longest duration that is not above all buckets: 4096 s.
pub(crate) const HIGHEST_NANOS: u64 = edge_nanos(BUCKETS);
/// The classic bounds in nanoseconds.
pub(crate) const CLASSIC_NANOS: [u64; 14] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];
/// Buckets that a classic bound cuts in two; three of the bounds are edges already.
pub(crate) const SPLIT_COUNT: usize = 11;
/// Those buckets, ascending.
pub(crate) static SPLITS: [Split; SPLIT_COUNT] = splits();

/// A bucket cut in two by a classic bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    /// The bucket, counted from the first.
    pub(crate) bucket: usize,
    /// The longest duration of its lower part.
    pub(super) at: u64,
}

/// `2^(k/64)` for `k` in `0..64`, as fixed-point numbers with 63 bits after the point.
pub(super) const ROOTS: [u128; OCTAVE_BUCKETS] = roots();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn roots() -> [u128; OCTAVE_BUCKETS] {
    let mut roots = [1 << 63; OCTAVE_BUCKETS];
    // `root` runs through 2^(32/64), 2^(16/64) … 2^(1/64).
    let mut root: u128 = 1 << 64;
    let mut bit = 32;
    while bit > 0 {
        root = (root << 63).isqrt();
        let mut k = 0;
        while k < OCTAVE_BUCKETS {
            if k & bit != 0 {
                roots[k] = (roots[k] * root) >> 63;
            }
            k += 1;
        }
        bit /= 2;
    }
    roots
}

/// The floor of the `n`th edge in nanoseconds: the longest duration of bucket `n - 1`.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "n is at most BUCKETS: the root is masked and the edge at most 4096 s"
)]
pub(super) const fn edge_nanos(n: usize) -> u64 {
    let exponent = MIN_EXPONENT + (n / OCTAVE_BUCKETS) as i32;
    let nanos = ROOTS[n % OCTAVE_BUCKETS] * 1_000_000_000;
    (nanos >> (63 - exponent)) as u64
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn splits() -> [Split; SPLIT_COUNT] {
    let mut splits = [Split { bucket: 0, at: 0 }; SPLIT_COUNT];
    let (mut found, mut classic) = (0, 0);
    while classic < CLASSIC_NANOS.len() {
        let at = CLASSIC_NANOS[classic];
        let bucket = bucket_by_search(at);
        if edge_nanos(bucket + 1) != at {
            splits[found] = Split { bucket, at };
            found += 1;
        }
        classic += 1;
    }
    assert!(found == SPLIT_COUNT);
    splits
}

/// The bucket of `nanos`, found by bisection.
pub(super) const fn bucket_by_search(nanos: u64) -> usize {
    let (mut low, mut high) = (0, BUCKETS);
    while low < high {
        let middle = usize::midpoint(low, high);
        if edge_nanos(middle + 1) < nanos {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Little-endian digits in base 2^32, enough for an exact comparison of 64th powers.
    fn times(number: &[u32], factor: u64) -> Vec<u32> {
        let mut digits = Vec::with_capacity(number.len() + 2);
        let mut carry: u128 = 0;
        for digit in number {
            carry += u128::from(*digit) * u128::from(factor);
            digits.push(u32::try_from(carry & 0xFFFF_FFFF).unwrap());
            carry >>= 32;
        }
        while carry > 0 {
            digits.push(u32::try_from(carry & 0xFFFF_FFFF).unwrap());
            carry >>= 32;
        }
        digits
    }

    fn power(base: u64, exponent: u32) -> Vec<u32> {
        (0..exponent).fold(vec![1], |number, _| times(&number, base))
    }

    fn at_most(a: &[u32], b: &[u32]) -> bool {
        a.len()
            .cmp(&b.len())
            .then_with(|| a.iter().rev().cmp(b.iter().rev()))
            .is_le()
    }

    /// `nanos <= 2^(index/64) s`, decided as `nanos^64 * 2^-index <= 10^(9*64)`.
    fn exactly_at_most(nanos: u64, index: i32) -> bool {
        let mut left = power(nanos, 64);
        let mut right = power(1_000_000_000, 64);
        let shifted = if index < 0 { &mut left } else { &mut right };
        for _ in 0..index.unsigned_abs() {
            *shifted = times(shifted, 2);
        }
        at_most(&left, &right)
    }

    #[test]
    fn every_edge_is_the_exact_floor_of_its_power_of_two() {
        for n in 0..=BUCKETS {
            let index = MIN_INDEX - 1 + i32::try_from(n).unwrap();
            assert!(exactly_at_most(edge_nanos(n), index), "edge {n} too high");
            assert!(
                !exactly_at_most(edge_nanos(n) + 1, index),
                "edge {n} too low"
            );
        }
    }

    #[test]
    fn the_range_reaches_from_a_microsecond_to_more_than_an_hour() {
        assert_eq!(LOWEST_NANOS, 953);
        assert_eq!(HIGHEST_NANOS, 4_096_000_000_000);
    }

    #[test]
    fn the_classic_bounds_are_the_same_in_seconds_and_in_nanoseconds() {
        for (seconds, nanos) in super::super::CLASSIC_BOUNDS.iter().zip(CLASSIC_NANOS) {
            assert_eq!(
                std::time::Duration::from_secs_f64(*seconds).as_nanos(),
                u128::from(nanos)
            );
        }
    }
}
