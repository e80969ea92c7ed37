//! Every line of a request carries its ID, and nothing a client sends can forge one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::convert::Infallible;

use buttress_correlation::{Config as IdConfig, CorrelationId, CorrelationLayer, Mint};
use buttress_telemetry::{Config, Format, ServerSpanLayer};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use support::Lines;
use tower::{ServiceBuilder, ServiceExt};
use tracing::instrument::WithSubscriber;

type Body = Full<bytes::Bytes>;

fn logging(format: Format) -> (Lines, tracing::Dispatch) {
    let lines = Lines::default();
    let config = Config::new("test").format(format).writer(lines.clone());
    (lines, config.build().unwrap().0)
}

fn id(text: &str) -> CorrelationId {
    text.parse().unwrap()
}

async fn deeper() {
    tracing::info!("before the wait");
    tokio::task::yield_now().await;
    tracing::warn!(left = 3, "after the wait");
}

async fn handler(_: Request<()>) -> Result<Response<Body>, Infallible> {
    tracing::info!("in the handler");
    deeper().await;
    Ok(Response::new(Body::from("done")))
}

#[tokio::test]
async fn the_id_stands_on_every_line_of_a_request_at_the_top_level() {
    let (lines, dispatch) = logging(Format::Json);
    let service = ServiceBuilder::new()
        .layer(
            CorrelationLayer::new(IdConfig::new().mint(Mint::with(|| "the-id".parse().unwrap())))
                .unwrap(),
        )
        .layer(ServerSpanLayer::new())
        .service_fn(handler);
    let request = service.oneshot(Request::new(()));
    request.with_subscriber(dispatch.clone()).await.unwrap();
    tracing::dispatcher::with_default(&dispatch, || tracing::info!("outside"));
    let json = lines.json();
    assert_eq!(json.len(), 4);
    for line in &json[..3] {
        assert_eq!(line["correlation_id"], "the-id");
        for key in ["time", "level", "target", "message"] {
            assert!(line[key].is_string(), "{line}");
        }
    }
    assert_eq!(json[2]["fields"]["left"], 3);
    assert_eq!(json[2]["level"], "WARN");
    assert_eq!(json[3].get("correlation_id"), None);
}

/// A body that logs each time it is asked.
struct Talking(u8);

impl http_body::Body for Talking {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        tracing::info!("in the body");
        let left = self.0.checked_sub(1);
        std::task::Poll::Ready(left.map(|left| {
            self.0 = left;
            Ok(http_body::Frame::data(bytes::Bytes::from_static(b"x")))
        }))
    }
}

#[tokio::test]
async fn lines_from_a_streaming_body_carry_the_id_too() {
    let (lines, dispatch) = logging(Format::Json);
    let service = ServiceBuilder::new()
        .layer(CorrelationLayer::default())
        .layer(ServerSpanLayer::new())
        .service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Talking(2))) });
    let response = service.oneshot(Request::new(())).await.unwrap();
    let id = response.headers()["x-correlation-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let collect = response.into_body().collect();
    collect.with_subscriber(dispatch).await.unwrap();
    let json = lines.json();
    assert_eq!(json.len(), 3);
    assert!(
        json.iter()
            .all(|line| line["correlation_id"] == id.as_str())
    );
}

const EVIL: &str =
    "x\" level=ERROR\r\n{\"level\":\"ERROR\"}\u{1b}[2J\u{9b}31m\u{202e}\u{2028}\0 end";

#[test]
fn json_lines_stay_one_line_each_steer_no_terminal_and_read_back_what_was_logged() {
    let (lines, dispatch) = logging(Format::Json);
    tracing::dispatcher::with_default(&dispatch, || {
        id("a").sync_scope(|| {
            tracing::info!(
                evil = EVIL,
                correlation_id = "forged",
                nan = f64::NAN,
                "{EVIL}"
            );
        });
    });
    let json = lines.json();
    assert_eq!(json.len(), 1);
    assert_eq!(json[0]["message"], EVIL);
    assert_eq!(json[0]["fields"]["evil"], EVIL);
    assert_eq!(json[0]["correlation_id"], "a");
    assert_eq!(lines.text().matches('\n').count(), 1);
    assert!(lines.text().trim_end().is_ascii(), "{}", lines.text());
}

#[test]
fn human_lines_cannot_steer_a_terminal_or_end_early() {
    let (lines, dispatch) = logging(Format::Human);
    tracing::dispatcher::with_default(&dispatch, || {
        id("a").sync_scope(|| tracing::error!(evil = EVIL, plain = "ok", n = 7, "{EVIL}"));
    });
    let text = lines.text();
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert!(!line.contains(['\u{202e}', '\u{2028}']));
    assert!(line.contains(" ERROR [a] logs: x"), "{line}");
    assert!(line.ends_with(" plain=ok n=7"), "{line}");
}

#[test]
fn the_filter_decides_which_lines_are_written() {
    let lines = Lines::default();
    let config = Config::new("test")
        .filter("warn,chatty=debug")
        .writer(lines.clone());
    let (dispatch, _guard) = config.build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        tracing::info!("left out");
        tracing::debug!(target: "chatty", "kept");
    });
    assert!(!lines.text().contains("left out"));
    assert!(lines.text().contains("kept"));
}

#[test]
fn a_filter_or_an_endpoint_that_makes_no_sense_is_refused_with_what_would_be_right() {
    let filter = Config::new("test")
        .filter("info,=,loud")
        .build()
        .unwrap_err();
    assert!(filter.to_string().contains("expected the form"), "{filter}");
    for endpoint in ["https://host:4317", "host", "", "http://"] {
        let error = Config::new("test").otlp(endpoint).build().unwrap_err();
        assert!(error.to_string().starts_with("otlp endpoint: "), "{error}");
    }
}
