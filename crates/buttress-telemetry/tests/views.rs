//! What one recorder has counted, written in every form and read back by readers of their own: all of
//! them show the same integers.
#![cfg(all(feature = "protobuf", feature = "otlp"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs
)]

mod read;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::metric::{Collect, Exemplar, Family, Histogram, Value};
use buttress_core::trace_context::TraceContext;
use buttress_latency::{Config, LatencyHandle, LatencyLayer};
use buttress_telemetry::exposition::Format;
use buttress_telemetry::otlp;
use http::{Request, Response};
use http_body_util::Empty;
use proptest::prelude::*;
use tower::{Layer, ServiceExt};

use read::{Labels, Read};

const NAME: &str = "http_server_request_duration_seconds";
/// The bucket that Prometheus calls infinite.
const INFINITE: i32 = 65_537;

/// One GET for each duration, of two routes and two statuses.
fn families(nanos: &[u64]) -> Vec<Family> {
    let time = ManualClock::new();
    let handle = LatencyHandle::new(Config::new().clock(time.clock())).unwrap();
    let services = ["/a", "/b/{id}"].map(|route| {
        let time = time.clone();
        let layer = LatencyLayer::new(handle.clone()).route(route);
        layer.layer(tower::service_fn(move |request: Request<u64>| {
            time.advance(Duration::from_nanos(*request.body()));
            let status = if request.body().is_multiple_of(3) {
                500
            } else {
                200
            };
            let response = Response::builder().status(status);
            std::future::ready(Ok::<_, Infallible>(
                response.body(Empty::<&[u8]>::new()).unwrap(),
            ))
        }))
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for (service, nanos) in services.iter().cycle().zip(nanos) {
        let call = service.clone().oneshot(Request::new(*nanos));
        let _response = runtime.block_on(call).unwrap();
    }
    let mut families = Vec::new();
    handle.collect(&mut families);
    families
}

/// The histograms as the room gives them, with an exemplar for each octave.
fn histograms(families: &mut [Family]) -> BTreeMap<Labels, Histogram> {
    let family = families
        .iter_mut()
        .find(|family| family.name == NAME)
        .unwrap();
    let points = family.points.iter_mut().map(|point| {
        let Value::Histogram(histogram) = &mut point.value else {
            panic!("{point:?}");
        };
        histogram.exemplars = exemplars(histogram);
        let labels = point.labels.iter();
        let labels = labels.map(|(name, value)| ((*name).to_owned(), value.to_string()));
        (labels.collect(), histogram.clone())
    });
    points.collect()
}

fn exemplars(histogram: &Histogram) -> Vec<Exemplar> {
    let filled = histogram.native.iter().step_by(64);
    let exemplar = |(index, _): &(i32, u64)| {
        let trace = TraceContext::new(u128::MAX - u128::from(index.unsigned_abs()), 7, true);
        let value = ((f64::from(*index) - 0.5) / 64.0).exp2();
        let at = Duration::from_millis(1_700_000_000_000 + u64::from(index.unsigned_abs()));
        Exemplar::new(&trace.unwrap(), value, at)
    };
    filled.map(exemplar).collect()
}

/// What a reader has to see.
fn expected(histogram: &Histogram, above: i32) -> Read {
    let classic = histogram.classic.iter().copied();
    let above = (above, histogram.above);
    let native = histogram.native.iter().copied().chain([above]);
    Read {
        count: histogram.count,
        sum: histogram.sum,
        classic: classic.chain([(f64::INFINITY, histogram.count)]).collect(),
        native: native.filter(|(_, count)| *count > 0).collect(),
        zero: ((-20.0_f64).exp2(), histogram.below),
        exemplars: Vec::new(),
    }
}

/// Exemplars as read: the latest of each classic bucket, or all.
fn seen(histogram: &Histogram, by_bucket: bool) -> Vec<(String, f64, u64)> {
    let mut seen: BTreeMap<usize, &Exemplar> = BTreeMap::new();
    for (nth, exemplar) in histogram.exemplars.iter().enumerate() {
        let bucket = histogram
            .classic
            .partition_point(|(bound, _)| *bound < exemplar.value);
        let place = seen
            .entry(if by_bucket { bucket } else { nth })
            .or_insert(exemplar);
        if exemplar.at > place.at {
            *place = exemplar;
        }
    }
    let shown = |exemplar: &&Exemplar| {
        let id = format!("{:032x}", exemplar.trace_id);
        (id, exemplar.value, exemplar.at.as_millis() as u64)
    };
    seen.values().map(shown).collect()
}

fn durations() -> impl Strategy<Value = Vec<u64>> {
    let one = prop_oneof![
        0..2_000_u64,
        1_000_000..20_000_000_000_u64,
        prop::sample::select(vec![5_000_000, 5_000_001, 1_000_000_000, 4_096_000_000_000]),
        4_096_000_000_001..u64::MAX / 1_000,
    ];
    proptest::collection::vec(one, 0..60)
}

#[test]
fn a_push_says_the_shortest_and_the_longest() {
    let families = families(&[7_000_000, 40_000_000, 2_000, 800_000_000]);
    let period = Duration::from_secs(1)..Duration::from_secs(2);
    let pushed = read::otlp::read(&otlp::encode(&families, "orders", period));
    let extremes = read::otlp::extremes(&pushed["http.server.request.duration"]);
    assert_eq!(
        extremes,
        [(Some(2e-6), Some(0.007)), (Some(0.04), Some(0.8))]
    );
}

#[test]
fn series_of_two_recorders_that_have_the_same_labels_are_one_in_every_view() {
    let (one, other) = (
        [3_000_000, 80_000_000, 100, 7_000_000],
        [9_000_000, 5_000_000_000, 100, 7_100_000],
    );
    let both: Vec<Family> = [one, other]
        .iter()
        .flat_map(|nanos| families(nanos))
        .collect();
    let mut all = families(&[one, other].concat());
    let period = Duration::from_secs(1)..Duration::from_secs(2);
    let expected = histograms(&mut all.clone());
    let counted = |labels: &Labels, read: &Read| {
        let expected = &expected[labels];
        assert_eq!(
            (read.count, &read.classic),
            (expected.count, &self::expected(expected, 0).classic)
        );
    };
    let text = String::from_utf8(Format::OpenMetrics.encode(&both)).unwrap();
    // Its reader refuses a series that is there twice.
    for (labels, read) in &read::text::read(&text, true).unwrap().histograms(NAME) {
        counted(labels, read);
    }
    let page = |families: &[Family]| {
        let pushed = read::otlp::read(&otlp::encode(families, "orders", period.clone()));
        let metric = &pushed["http.server.request.duration"];
        (read::otlp::histograms(metric), read::otlp::extremes(metric))
    };
    all.retain(|family| family.name == NAME);
    assert_eq!(page(&both), page(&all));
    let binary = read::protobuf::read(&Format::Protobuf.encode(&both)).unwrap();
    let read = |families: Vec<read::protobuf::Family>| {
        let family = families.into_iter().find(|family| family.name == NAME);
        family.unwrap().histograms
    };
    let alone = read::protobuf::read(&Format::Protobuf.encode(&all)).unwrap();
    assert_eq!(read(binary), read(alone));
}

proptest! {
    #[test]
    fn every_view_of_a_recorder_shows_the_same_integers(nanos in durations()) {
        let mut families = families(&nanos);
        let counted = histograms(&mut families);
        let total: u64 = counted.values().map(|histogram| histogram.count).sum();
        prop_assert_eq!(total, nanos.len() as u64);
        let page = |format: Format| String::from_utf8(format.encode(&families)).unwrap();

        let text = read::text::read(&page(Format::Text), false).unwrap();
        let open = read::text::read(&page(Format::OpenMetrics), true).unwrap();
        let binary = read::protobuf::read(&Format::Protobuf.encode(&families)).unwrap();
        let binary = binary.into_iter().find(|family| family.name == NAME);
        let binary = binary.map(|family| family.histograms).unwrap_or_default();
        let period = Duration::from_secs(1)..Duration::from_secs(2);
        let pushed = read::otlp::read(&otlp::encode(&families, "orders", period));
        let pushed = pushed.get("http.server.request.duration");
        let pushed = pushed.map(read::otlp::histograms).unwrap_or_default();

        let views = [text.histograms(NAME), open.histograms(NAME), binary, pushed];
        for view in &views {
            prop_assert!(view.keys().eq(counted.keys()));
        }
        for (labels, histogram) in &counted {
            let [text, open, binary, pushed] = views.each_ref().map(|view| &view[labels]);
            let all = expected(histogram, INFINITE);
            let of_text = Read { native: vec![], zero: (0.0, 0), ..all.clone() };
            prop_assert_eq!(text, &of_text);
            let exemplars = seen(histogram, true);
            prop_assert_eq!(open, &Read { exemplars: exemplars.clone(), ..of_text });
            prop_assert_eq!(binary, &Read { exemplars, ..all });
            let all = expected(histogram, 12 * 64 + 1);
            let exemplars = seen(histogram, false);
            prop_assert_eq!(pushed, &Read { classic: vec![], exemplars, ..all });
        }
    }
}
