//! An origin: hyper's server on the simulated network.

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use turmoil::net::TcpListener;

pub const PORT: u16 = 80;

/// Answers every request with its name.
pub async fn serve(name: &'static str) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let answer = move |_: Request<Incoming>| async move {
            let name = Full::new(Bytes::from_static(name.as_bytes()));
            Ok::<_, Infallible>(Response::new(name))
        };
        let connection = http1::Builder::new();
        let connection = connection.serve_connection(TokioIo::new(stream), service_fn(answer));
        // A connection that breaks is its client's concern.
        tokio::spawn(async move { connection.await.is_ok() });
    }
}
