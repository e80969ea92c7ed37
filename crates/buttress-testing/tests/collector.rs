//! A collector keeps what it is sent over OTLP, whoever's runtime ends.
#![allow(clippy::unwrap_used)]

use buttress_testing::collector::{Collector, attribute, hex};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

/// A span that says of itself that it is the third.
fn span() -> Span {
    let value = Some(Value::IntValue(3));
    Span {
        trace_id: vec![0xab; 16],
        attributes: vec![KeyValue {
            key: "nth".to_owned(),
            value: Some(AnyValue { value }),
            ..KeyValue::default()
        }],
        ..Span::default()
    }
}

#[tokio::test]
async fn spans_that_are_sent_are_kept() {
    let collector = Collector::default();
    let url = format!("http://{}", collector.listen("127.0.0.1:0").await);
    let scope = ScopeSpans {
        spans: vec![span(); 2],
        ..ScopeSpans::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![scope],
            ..ResourceSpans::default()
        }],
    };
    let mut client = TraceServiceClient::connect(url).await.unwrap();
    client.export(request.clone()).await.unwrap();
    assert_eq!(collector.traces(), [request]);
    assert_eq!(collector.spans(), [span(), span()]);
    let kept = &collector.spans()[0];
    assert_eq!(attribute(kept, "nth").as_deref(), Some("3"));
    assert_eq!(attribute(kept, "other"), None);
    assert_eq!(hex(&kept.trace_id), "ab".repeat(16));
}

#[tokio::test]
async fn pushes_are_kept_and_what_is_rejected_is_said() {
    for rejects in [0, 2] {
        let collector = Collector::rejecting(rejects);
        let url = format!("http://{}", collector.listen_on_a_thread());
        let mut client = MetricsServiceClient::connect(url).await.unwrap();
        let answer = client.export(ExportMetricsServiceRequest::default());
        let partial = answer.await.unwrap().into_inner().partial_success;
        let rejected = partial.map_or(0, |partial| partial.rejected_data_points);
        assert_eq!(rejected, rejects);
        assert_eq!(collector.pushes().len(), 1);
    }
}
