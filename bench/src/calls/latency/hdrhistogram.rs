//! HdrHistogram behind a mutex.

use std::sync::{Mutex, PoisonError};

use ::hdrhistogram::Histogram;

use super::samples::Samples;
use crate::Error;
use crate::measure::Candidate;

const NAME: &str = "hdrhistogram";

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let samples = Samples::new(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let shared = Mutex::new(histogram()?);
    let candidate = Candidate::new("record", NAME, move |records| {
        let mut counted = 0;
        samples.each(records, |nanos| {
            let mut histogram = shared.lock().unwrap_or_else(PoisonError::into_inner);
            counted += u64::from(histogram.record(nanos).is_ok());
        });
        counted
    });
    candidate.expect(1_000, 1_000)?;
    Ok(vec![candidate])
}

/// The range of the others, with three digits.
pub(super) fn histogram() -> Result<Histogram<u64>, Error> {
    Ok(Histogram::new_with_bounds(1_000, 4_096_000_000_000, 3)?)
}
