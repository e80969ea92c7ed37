//! A collector of metrics in this process, on a socket.

#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What the receiver was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receiver {
    requests: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    rejects: i64,
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.requests.lock().unwrap().push(request.into_inner());
        let partial = ExportMetricsPartialSuccess {
            rejected_data_points: self.rejects,
            error_message: "too old".to_owned(),
        };
        Ok(Response::new(ExportMetricsServiceResponse {
            partial_success: (self.rejects > 0).then_some(partial),
        }))
    }
}

impl Receiver {
    /// Says that it does not take so many data points of each request.
    pub(crate) fn rejecting(points: i64) -> Self {
        Self {
            rejects: points,
            ..Self::default()
        }
    }

    /// Listens on `address` for as long as the runtime lives; gives the address it is bound to.
    pub(crate) async fn listen(&self, address: &str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let bound = listener.local_addr().unwrap();
        let service = MetricsServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        bound
    }

    /// All pushes that came, in order.
    pub(crate) fn requests(&self) -> Vec<ExportMetricsServiceRequest> {
        self.requests.lock().unwrap().clone()
    }
}
