//! A collector in this process, on a socket.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What the collector was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collector {
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.requests.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens on `address` for as long as the runtime lives; gives the address it is bound to.
    pub(crate) async fn listen(&self, address: &str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let bound = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self.clone());
        let incoming = TcpIncoming::from(listener);
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(incoming));
        bound
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Everything that was sent, as text.
    pub(crate) fn dump(&self) -> String {
        format!("{:?}", self.requests.lock().unwrap())
    }

    pub(crate) fn service_names(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let attributes = resources
            .flat_map(|spans| &spans.resource)
            .flat_map(|it| &it.attributes);
        attributes
            .filter(|attribute| attribute.key == "service.name")
            .filter_map(|attribute| match attribute.value.clone()?.value? {
                Value::StringValue(name) => Some(name),
                _ => None,
            })
            .collect()
    }
}

/// The attribute `key` of `span`, as text.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key)?;
    Some(match found.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

/// `bytes` as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Longer than anything here takes: what comes later hangs.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);
