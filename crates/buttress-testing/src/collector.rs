//! A collector that takes spans and metrics over OTLP/gRPC, and keeps them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::lock;

/// Takes spans and metrics on a socket and keeps what it took; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    pushes: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    rejects: i64,
}

impl Collector {
    /// One that says of each push that so many of its points are rejected, for they are `too old`.
    pub fn rejecting(points: i64) -> Self {
        Self {
            rejects: points,
            ..Self::default()
        }
    }

    /// Listens on `address` for as long as the runtime lives; gives the address that it is bound to.
    ///
    /// # Panics
    ///
    /// Where the address cannot be bound.
    pub async fn listen(&self, address: &str) -> SocketAddr {
        let (bound, serving) = self.bind(address).await;
        tokio::spawn(serving);
        bound
    }

    /// Listens on a free port for as long as the process lives, whatever becomes of a test's runtime.
    ///
    /// # Panics
    ///
    /// Where no port or no runtime is to be had.
    pub fn listen_on_a_thread(&self) -> SocketAddr {
        let (tell, told) = std::sync::mpsc::channel();
        let collector = self.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
            runtime.block_on(async {
                let (bound, serving) = collector.bind("127.0.0.1:0").await;
                // Whoever asked waits for it.
                let _heard = tell.send(bound);
                serving.await;
            });
        });
        told.recv()
            .unwrap_or_else(|_| panic!("the collector does not listen"))
    }

    /// Every request with spans, in the order in which they came.
    pub fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        lock(&self.traces).clone()
    }

    /// Every push of metrics, in the order in which they came.
    pub fn pushes(&self) -> Vec<ExportMetricsServiceRequest> {
        lock(&self.pushes).clone()
    }

    /// Every span that came.
    pub fn spans(&self) -> Vec<Span> {
        let resources = self.traces().into_iter().flat_map(|it| it.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    async fn bind(&self, address: &str) -> (SocketAddr, impl Future<Output = ()> + Send + use<>) {
        let listener = TcpListener::bind(address).await;
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (bound, listener) =
            bound.unwrap_or_else(|error| panic!("{address} cannot be bound: {error}"));
        let server = Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        (bound, async move { drop(server.await) })
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        lock(&self.traces).push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        lock(&self.pushes).push(request.into_inner());
        let partial = ExportMetricsPartialSuccess {
            rejected_data_points: self.rejects,
            error_message: "too old".to_owned(),
        };
        Ok(Response::new(ExportMetricsServiceResponse {
            partial_success: (self.rejects > 0).then_some(partial),
        }))
    }
}

/// The attribute `key` of `span`, as text.
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    let mut all = span.attributes.iter();
    let found = all.find(|attribute| attribute.key == key)?;
    Some(match found.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

/// `bytes` in lower-case hexadecimal, as IDs of traces and spans are written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}
