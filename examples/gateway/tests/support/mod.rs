//! Gateways, upstreams and raw sockets for the tests.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

pub mod frames;
pub mod manual;
pub mod process;
pub mod upgraded;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_gateway::config::Config;
use buttress_gateway::gateway::Gateway;
use buttress_gateway::server::Drain;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// No condition awaited here takes a tenth of this.
const BOUND: Duration = Duration::from_secs(30);

pub async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(BOUND, future).await else {
        panic!("{what}: not within {BOUND:?}");
    };
    value
}

/// A gateway with one pool and one route, on a free port, serving in the background.
pub struct Running {
    pub address: SocketAddr,
    pub drain: Drain,
    pub connections: buttress_gateway::server::Connections,
    pub ended: tokio::task::JoinHandle<()>,
}

pub async fn gateway(upstream: SocketAddr, listen: &str, pool: &str) -> Running {
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n{listen}\n\
         [admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\n{pool}\nendpoints = [\"{upstream}\"]\n\
         [[route]]\nname = \"r\"\npath_prefix = \"/\"\npool = \"p\"\n"
    );
    let config = Config::parse("test.toml", &config).unwrap();
    let drain = Drain::new();
    let gateway = Gateway::bind(&config, drain.clone()).await.unwrap();
    Running {
        address: gateway.address(),
        drain,
        connections: gateway.connections(),
        ended: tokio::spawn(gateway.run()),
    }
}

/// Sends bytes and reads until the other end closes.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    read_to_end(&mut stream).await
}

/// Reads until the other end closes or resets.
pub async fn read_to_end(stream: &mut TcpStream) -> String {
    bounded("the connection closes", async {
        let mut all = Vec::new();
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut part).await {
            all.extend_from_slice(&part[..n]);
        }
        String::from_utf8_lossy(&all).into_owned()
    })
    .await
}

/// Reads until `end` has come.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    bounded(end, async {
        let mut all = Vec::new();
        while !all.ends_with(end.as_bytes()) {
            all.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(all).unwrap()
    })
    .await
}

/// An upstream that notes each request's head and answers with fixed bytes, then closes.
#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub async fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
        };
        let heads = Arc::clone(&upstream.heads);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let heads = Arc::clone(&heads);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else {
                            return;
                        };
                        head.push(byte);
                    }
                    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                    drop(stream.write_all(answer.as_bytes()).await);
                    // What promises more than it sends keeps the connection, and says nothing.
                    if answer.is_empty() || answer.contains("length: 1000000") {
                        drop(stream.read_to_end(&mut Vec::new()).await);
                    }
                });
            }
        });
        upstream
    }

    pub async fn well() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await
    }

    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub fn head(&self) -> String {
        let heads = self.heads();
        assert_eq!(heads.len(), 1, "{heads:?}");
        heads[0].to_ascii_lowercase()
    }
}

/// An address on which nobody listens.
pub async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}
