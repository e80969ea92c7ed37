//! OpenTelemetry: classic histograms, found by their attributes at each record.

use ::opentelemetry::KeyValue;
use ::opentelemetry::metrics::{Histogram, MeterProvider as _};
use buttress_latency::CLASSIC_BOUNDS;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};

use super::routes;
use super::samples::seconds;
use crate::measure::Candidate;

const NAME: &str = "opentelemetry";

pub(super) fn candidates() -> Vec<Candidate> {
    let route = routes().pop().unwrap_or_default();
    let (samples, (provider, histogram)) = (seconds(), histogram());
    let prepared = attributes(&route);
    let record = Candidate::new("record", NAME, move |records| {
        samples.each(records, |seconds| histogram.record(seconds, &prepared));
        let _kept = &provider;
        records
    });
    let (samples, (provider, histogram)) = (seconds(), self::histogram());
    for route in routes() {
        histogram.record(0.001, &attributes(&route));
    }
    let looked_up = Candidate::new("record/route", NAME, move |records| {
        samples.each(records, |seconds| {
            histogram.record(seconds, &attributes(&route));
        });
        let _kept = &provider;
        records
    });
    vec![record, looked_up]
}

/// The provider has to outlive what is recorded.
fn histogram() -> (SdkMeterProvider, Histogram<f64>) {
    let reader = ManualReader::builder().build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let histogram = provider
        .meter("bench")
        .f64_histogram("http.server.request.duration")
        .with_boundaries(CLASSIC_BOUNDS.to_vec())
        .build();
    (provider, histogram)
}

/// What the HTTP conventions ask of an answered request.
fn attributes(route: &str) -> [KeyValue; 5] {
    [
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("http.route", route.to_owned()),
        KeyValue::new("http.response.status_code", 200),
        KeyValue::new("network.protocol.version", "1.1"),
    ]
}
