//! A gRPC client behind a breaker: a call fails by the status in its trailers, though HTTP said `200`,
//! and a rejection is the status `UNAVAILABLE` with its pushback.
//!
//! ```sh
//! cargo run -p buttress-example-tonic-client
//! ```

#![allow(clippy::print_stdout, reason = "it shows what happens")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::Router;
use axum::routing::post;
use buttress::breaker::{Breaker, BreakerService, Config, Rule};
use buttress::core::protocol::Http;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::server::{Grpc as GrpcServer, UnaryService};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_layer::Layer;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Client = Grpc<BreakerService<Channel, Http>>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    show().await
}

async fn show() -> Result<(), Error> {
    let greeter = Greeter::default();
    let address = serve(greeter.clone()).await?;

    let rules = [Rule::ConsecutiveFailures(3)];
    let breaker = Breaker::new("greeter", Config::for_http_upstream().rules(rules))?;
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    let mut client = Grpc::new(breaker.layer().layer(channel));

    println!("{}", hello(&mut client, "Ada").await?);
    let nobody = hello(&mut client, "").await;
    println!(
        "a caller's mistake: {:?}, {}",
        code(&nobody),
        breaker.state()
    );

    greeter.failing.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        println!(
            "{:?}, {}",
            code(&hello(&mut client, "Ada").await),
            breaker.state()
        );
    }
    let served = greeter.served.load(Ordering::Relaxed);
    let rejected = hello(&mut client, "Ada").await;
    println!("rejected: {:?}", rejected.as_ref().map_err(Status::message));

    assert_eq!(code(&nobody), Some(Code::InvalidArgument));
    assert_eq!(code(&rejected), Some(Code::Unavailable));
    assert_eq!(
        greeter.served.load(Ordering::Relaxed),
        served,
        "it was never asked"
    );
    Ok(())
}

async fn hello(client: &mut Client, name: &str) -> Result<String, Status> {
    let ready = client.ready().await;
    ready.map_err(|error| Status::from_error(error.into()))?;
    let path = PathAndQuery::from_static("/greet.Greeter/Hello");
    let request = Request::new(name.to_owned());
    let answer = client.unary(request, path, ProstCodec::<String, String>::default());
    answer.await.map(Response::into_inner)
}

fn code(answer: &Result<String, Status>) -> Option<Code> {
    answer.as_ref().err().map(Status::code)
}

/// The server: greets, until it is told to fail.
#[derive(Clone, Debug, Default)]
struct Greeter {
    failing: Arc<AtomicBool>,
    served: Arc<AtomicU32>,
}

impl UnaryService<String> for Greeter {
    type Response = String;
    type Future = std::future::Ready<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        self.served.fetch_add(1, Ordering::Relaxed);
        let name = request.into_inner();
        std::future::ready(if self.failing.load(Ordering::Relaxed) {
            Err(Status::internal("out of greetings"))
        } else if name.is_empty() {
            Err(Status::invalid_argument("a name is needed"))
        } else {
            Ok(Response::new(format!("hello {name}")))
        })
    }
}

async fn serve(greeter: Greeter) -> Result<std::net::SocketAddr, Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let call = |request: http::Request<axum::body::Body>| async move {
        let mut grpc = GrpcServer::new(ProstCodec::<String, String>::default());
        grpc.unary(greeter, request).await
    };
    let routes = Routes::from(Router::new().route("/greet.Greeter/Hello", post(call)));
    let server = Server::builder().add_routes(routes);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(address)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_failing_server_is_cut_off_by_its_grpc_status_and_a_callers_mistake_is_not() {
        super::show().await.unwrap();
    }
}
