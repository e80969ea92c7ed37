//! The sparse buckets of a native histogram: spans of neighbours, and each count as its difference
//! from the one before.

use super::super::Native;
use super::model::{BucketSpan, Histogram};

/// The bucket above the largest number there is, of which the upper bound is infinite.
const OVERFLOW: i32 = 1024 * 64 + 1;

/// Adds the native part. What is above all buckets is in the infinite one, as it is in the classic
/// part: it is known to be longer than a bound, and not how much.
pub(super) fn add(classic: Histogram, native: Native<'_>) -> Histogram {
    let above = (OVERFLOW, native.above);
    let buckets = native.buckets.iter().copied().chain([above]);
    let mut built = Histogram {
        schema: Native::SCALE,
        zero_threshold: native.threshold,
        zero_count: native.below,
        ..classic
    };
    let (mut end, mut last) = (0, 0_u64);
    for (index, count) in buckets.filter(|(_, count)| *count > 0) {
        match built.positive_span.last_mut() {
            Some(span) if index == end => span.length += 1,
            _ => built.positive_span.push(BucketSpan {
                offset: index - end,
                length: 1,
            }),
        }
        built.positive_delta.push(delta(last, count));
        (end, last) = (index + 1, count);
    }
    built
}

/// Wraps where a count passes 2^63, and so does the sum that a reader takes.
const fn delta(last: u64, count: u64) -> i64 {
    count.wrapping_sub(last).cast_signed()
}
