//! Jaeger's query API and UI, over an OTLP receiver in this process.

use std::net::SocketAddr;

use otlp_embedded::{Config, State, TraceServiceImpl, TraceServiceServer, ui_app};
use serde_json::Value;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use crate::{client, until};

pub(crate) struct Jaeger {
    otlp: SocketAddr,
    ui: SocketAddr,
}

impl Jaeger {
    pub(crate) async fn start() -> Self {
        let state = State::new(Config {
            max_length: 100,
            max_memory_usage: 1 << 24,
        });
        let takes = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let otlp = takes.local_addr().unwrap();
        let receiver = TraceServiceServer::new(TraceServiceImpl::new(state.clone()));
        let server = tonic::transport::Server::builder().add_service(receiver);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(takes)));
        let shows = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ui = shows.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(shows, ui_app(state, "/")).await });
        Self { otlp, ui }
    }

    /// Where spans are sent.
    pub(crate) fn collector(&self) -> String {
        format!("http://{}", self.otlp)
    }

    /// Where it is asked and looked at.
    pub(crate) fn address(&self) -> String {
        self.ui.to_string()
    }

    /// The only trace that begins in `service`, once it has so many spans.
    pub(crate) async fn trace_of(&self, service: &str, spans: usize) -> Value {
        let url = format!("http://{}/api/traces?service={service}&limit=20", self.ui);
        until(&format!("a trace of {spans} spans"), || async {
            let answer = client::ask(&url, &[]).await;
            let answer: Value = serde_json::from_str(&answer.body).unwrap();
            let traces = answer["data"].as_array().unwrap();
            assert!(traces.len() <= 1, "{answer:#}");
            let trace = traces.first()?;
            let ended = trace["spans"].as_array()?.len();
            assert!(ended <= spans, "{answer:#}");
            (ended == spans).then(|| trace.clone())
        })
        .await
    }
}
