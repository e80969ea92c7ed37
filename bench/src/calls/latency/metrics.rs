//! metrics-exporter-prometheus: records are kept in blocks until somebody drains them.

use ::metrics::{Key, Label, Level, Metadata, Recorder as _};
use buttress_latency::CLASSIC_BOUNDS;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::routes;
use super::samples::seconds;
use crate::Error;
use crate::measure::Candidate;

const NAME: &str = "metrics-exporter";
const METRIC: &str = "request_duration_seconds";
const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let (samples, recorder) = (seconds(), recorder()?);
    let histogram = recorder.register_histogram(&Key::from_static_name(METRIC), &METADATA);
    let record = Candidate::new("record", NAME, move |records| {
        samples.each(records, |seconds| histogram.record(seconds));
        records
    });
    let (samples, recorder) = (seconds(), self::recorder()?);
    for route in routes() {
        recorder
            .register_histogram(&key(&route), &METADATA)
            .record(0.001);
    }
    let route = routes().pop().unwrap_or_default();
    let looked_up = Candidate::new("record/route", NAME, move |records| {
        samples.each(records, |seconds| {
            recorder
                .register_histogram(&key(&route), &METADATA)
                .record(seconds);
        });
        records
    });
    Ok(vec![record, looked_up])
}

fn recorder() -> Result<PrometheusRecorder, Error> {
    let builder = PrometheusBuilder::new().set_buckets(&CLASSIC_BOUNDS)?;
    Ok(builder.build_recorder())
}

/// As the crate's macro makes it for a label whose value is not static.
fn key(route: &str) -> Key {
    let labels = vec![
        Label::new("route", route.to_owned()),
        Label::from_static_parts("method", "GET"),
        Label::from_static_parts("status", "200"),
    ];
    Key::from_parts(METRIC, labels)
}
