//! Where a duration is counted: exact base-2 scale-6 buckets, refined at the classic bounds.

mod bounds;
mod index;
mod slot;

pub(crate) use bounds::{CLASSIC_NANOS, OCTAVE_BUCKETS, OCTAVES, SPLIT_COUNT, SPLITS};
pub(crate) use index::{PLACES, Place, place};
pub(crate) use slot::{ABOVE, BELOW, SLOTS, Slot};

/// The upper bounds, in seconds, that the OpenTelemetry HTTP conventions ask of a classic histogram.
pub const CLASSIC_BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
