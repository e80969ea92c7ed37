//! prometheus: classic histograms of atomics, found in a map behind a lock.

use ::prometheus::{Histogram, HistogramOpts, HistogramVec};
use buttress_latency::CLASSIC_BOUNDS;

use super::routes;
use super::samples::seconds;
use crate::Error;
use crate::measure::Candidate;

const NAME: &str = "prometheus";

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let (samples, histogram) = (seconds(), histogram()?);
    let record = Candidate::new("record", NAME, move |records| {
        samples.each(records, |seconds| histogram.observe(seconds));
        records
    });
    let (samples, vec) = (
        seconds(),
        HistogramVec::new(options(), &["route", "method", "status"])?,
    );
    for route in routes() {
        vec.with_label_values(&[&*route, "GET", "200"])
            .observe(0.001);
    }
    let route = routes().pop().unwrap_or_default();
    let looked_up = Candidate::new("record/route", NAME, move |records| {
        samples.each(records, |seconds| {
            vec.with_label_values(&[&*route, "GET", "200"])
                .observe(seconds);
        });
        records
    });
    Ok(vec![record, looked_up])
}

pub(super) fn histogram() -> Result<Histogram, Error> {
    Ok(Histogram::with_opts(options())?)
}

fn options() -> HistogramOpts {
    HistogramOpts::new("request_duration_seconds", "how long requests took")
        .buckets(CLASSIC_BOUNDS.to_vec())
}
