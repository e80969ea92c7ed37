//! Gateways whose route lets WebSocket pass, and both ends of what passes.

use std::net::SocketAddr;

use buttress_gateway::config::Config;
use buttress_gateway::gateway::Gateway;
use buttress_gateway::rooms::Rooms;
use buttress_gateway::server::{Connections, Drain};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{bounded, exchange, read_until};

pub const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\
                             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
pub const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nUpgrade: websocket\r\n\
                             sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
pub const GET: &str = "GET /plain HTTP/1.1\r\nhost: a\r\n\r\n";
pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A gateway before an upstream that the test plays.
pub struct Upgrading {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub drain: Drain,
    pub connections: Connections,
    pub rooms: Rooms,
    pub ended: JoinHandle<()>,
    pub upstream: TcpListener,
}

impl Upgrading {
    /// With these keys of the listener, beside its address, and of the route, beside its name and pool.
    pub async fn serving(listen: &str, route: &str) -> Self {
        Self::beside(listen, route, "", &[]).await
    }

    /// The same, beside other pools and other endpoints of its own.
    pub async fn beside(listen: &str, route: &str, pools: &str, endpoints: &[SocketAddr]) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut all: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
        all.push(upstream.local_addr().unwrap().to_string());
        let config = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n{listen}\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [[pool]]\nname = \"p\"\nendpoints = {all:?}\n{pools}\n\
             [[route]]\nname = \"r\"\npool = \"p\"\n{route}\n"
        );
        let config = Config::parse("test.toml", &config).unwrap();
        let drain = Drain::new();
        let gateway = Box::pin(Gateway::bind(&config, drain.clone()))
            .await
            .unwrap();
        Self {
            address: gateway.address(),
            admin: gateway.admin_address(),
            drain,
            connections: gateway.connections(),
            rooms: gateway.rooms().clone(),
            ended: tokio::spawn(gateway.run()),
            upstream,
        }
    }

    /// That lets WebSocket pass.
    pub async fn websocket(listen: &str) -> Self {
        Self::serving(listen, "upgrade = [\"websocket\"]").await
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What the gateway sends to the upstream next on a connection of its own: the head, and the connection.
    pub async fn taken(&self) -> (String, TcpStream) {
        let accepted = bounded("the gateway connects", self.upstream.accept()).await;
        let mut stream = accepted.unwrap().0;
        let head = read_until(&mut stream, "\r\n\r\n").await;
        (head.to_ascii_lowercase(), stream)
    }

    /// The answer to what a client `sent`, where the upstream says `answer`, with the connections of both.
    pub async fn answered(&self, sent: &str, answer: &str) -> (String, TcpStream, TcpStream) {
        let mut client = self.connect().await;
        client.write_all(sent.as_bytes()).await.unwrap();
        let (_, mut upstream) = self.taken().await;
        upstream.write_all(answer.as_bytes()).await.unwrap();
        let head = read_until(&mut client, "\r\n\r\n").await;
        (head, client, upstream)
    }

    /// Both ends of a tunnel.
    pub async fn tunnel(&self) -> (TcpStream, TcpStream) {
        let (client, upstream, _) = tunnel_through(self.address, &self.upstream).await;
        (client, upstream)
    }

    /// What `/metrics` shows.
    pub async fn metrics(&self) -> String {
        let get = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        exchange(self.admin, get).await
    }

    /// Tunnels that are open.
    pub fn tunnels(&self) -> u64 {
        self.rooms.routes[0].tunnels.as_ref().unwrap().now()
    }

    pub async fn all_ended(&self) {
        bounded("all tunnels end", async {
            while self.tunnels() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Both ends of a tunnel through the gateway at `gateway`, and the head that the upstream saw.
pub async fn tunnel_through(
    gateway: SocketAddr,
    upstream: &TcpListener,
) -> (TcpStream, TcpStream, String) {
    let mut client = TcpStream::connect(gateway).await.unwrap();
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let accepted = bounded("the gateway connects", upstream.accept()).await;
    let mut upstream = accepted.unwrap().0;
    let head = read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(SWITCHING.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    (client, upstream, head)
}

/// Sends some bytes, and sees just these come out.
pub async fn passes(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).await.unwrap();
    let mut came = vec![0; bytes.len()];
    let read = to.read_exact(&mut came);
    bounded("it passes", read).await.unwrap();
    assert_eq!(came, bytes);
}

/// Sees that the other end has ended its way, or is gone.
pub async fn ends(stream: &mut TcpStream) {
    let read = bounded("it ends", stream.read(&mut [0; 64])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}
