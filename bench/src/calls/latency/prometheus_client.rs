//! prometheus-client: classic histograms behind a mutex, found in a map behind a lock.

use ::prometheus_client::metrics::family::Family;
use ::prometheus_client::metrics::histogram::Histogram;
use buttress_latency::CLASSIC_BOUNDS;

use super::routes;
use super::samples::seconds;
use crate::measure::Candidate;

const NAME: &str = "prometheus-client";

type Labels = [(&'static str, String); 3];

pub(super) fn candidates() -> Vec<Candidate> {
    let (samples, histogram) = (seconds(), histogram());
    let record = Candidate::new("record", NAME, move |records| {
        samples.each(records, |seconds| histogram.observe(seconds));
        records
    });
    let family: Family<Labels, Histogram, fn() -> Histogram> =
        Family::new_with_constructor(self::histogram);
    for route in routes() {
        family.get_or_create(&labels(route)).observe(0.001);
    }
    let samples = seconds();
    // Made once: a map of its own would spare a host making them.
    let labels = labels(routes().pop().unwrap_or_default());
    let looked_up = Candidate::new("record/route", NAME, move |records| {
        samples.each(records, |seconds| {
            family.get_or_create(&labels).observe(seconds);
        });
        records
    });
    vec![record, looked_up]
}

fn labels(route: String) -> Labels {
    [
        ("route", route),
        ("method", "GET".to_owned()),
        ("status", "200".to_owned()),
    ]
}

fn histogram() -> Histogram {
    Histogram::new(CLASSIC_BOUNDS)
}
