//! WebSocket over HTTP/2, as extended `CONNECT`, to an endpoint that speaks HTTP/1.1; on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::bounded;
use support::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, field, frame, get, head,
};
use support::upgraded::{OK, SWITCHING, Upgrading, ends};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// What begins a head, by HPACK's static table: `:status: 200`, and others of three digits.
const IS_200: u8 = 0x88;
const IS_ANOTHER: u8 = 0x48;

fn connect(protocol: &str) -> Vec<u8> {
    let fields = [
        head("CONNECT", "/chat"),
        field("sec-websocket-version", "13"),
    ];
    // Pseudo-headers come first.
    let fields = [field(":protocol", protocol), fields.concat()].concat();
    frame(HEADERS, END_HEADERS, 1, &fields)
}

/// A stream that goes on as a tunnel: the client with what it was answered, and the endpoint with what it was asked.
async fn tunnel(gateway: &Upgrading) -> (Frames, Frame, TcpStream, String) {
    let mut client = Frames::open(gateway.address).await;
    client.send(&connect("websocket")).await;
    let (asked, mut endpoint) = gateway.taken().await;
    endpoint.write_all(SWITCHING.as_bytes()).await.unwrap();
    let answer = client.next_of(HEADERS).await.unwrap();
    (client, answer, endpoint, asked)
}

/// A client of somebody else's.
async fn speaking(gateway: &Upgrading) -> SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(gateway.connect().await);
    let (send, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    // Whether a server takes them stands in its settings, which come first.
    while !send.is_ready() {
        tokio::task::yield_now().await;
    }
    send
}

/// Its handshake.
fn asking(gateway: &Upgrading) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri(format!("http://{}/chat", gateway.address))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(Empty::new())
        .unwrap()
}

async fn comes(endpoint: &mut TcpStream, bytes: &[u8]) {
    let mut came = vec![0; bytes.len()];
    let read = endpoint.read_exact(&mut came);
    bounded("it comes", read).await.unwrap();
    assert_eq!(came, bytes);
}

#[tokio::test]
async fn a_stream_goes_on_as_the_connection_to_the_endpoint_does() {
    let gateway = Upgrading::websocket("").await;
    let (mut client, answer, mut endpoint, asked) = tunnel(&gateway).await;
    assert!(asked.starts_with("get /chat http/1.1\r\n"), "{asked}");
    for line in [
        "\r\nconnection: upgrade\r\n",
        "\r\nupgrade: websocket\r\n",
        "\r\nsec-websocket-version: 13\r\n",
        "\r\nhost: a.example\r\n",
    ] {
        assert!(asked.contains(line), "{line} {asked}");
    }
    let (_, key) = asked.split_once("\r\nsec-websocket-key: ").unwrap();
    assert_eq!(key.split_once("\r\n").unwrap().0.len(), 24);
    assert_eq!((answer.payload[0], answer.flags & END_STREAM), (IS_200, 0));
    assert_eq!(gateway.tunnels(), 1);

    client.send(&frame(DATA, 0, 1, b"there")).await;
    comes(&mut endpoint, b"there").await;
    endpoint.write_all(b"and back").await.unwrap();
    assert_eq!(client.next_of(DATA).await.unwrap().payload, b"and back");

    // Beside it the connection carries requests.
    client.send(&get(3)).await;
    let (_, mut other) = gateway.taken().await;
    other.write_all(OK.as_bytes()).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.unwrap().stream, 3);

    // What one end ends is ended towards the other, whose way stays open.
    client.send(&frame(DATA, END_STREAM, 1, b"bye")).await;
    comes(&mut endpoint, b"bye").await;
    ends(&mut endpoint).await;
    endpoint.write_all(b"well").await.unwrap();
    let last = client.next_where(|it| it.kind == DATA && it.stream == 1);
    assert_eq!(last.await.unwrap().payload, b"well");
    drop(endpoint);
    let end = client.next_where(|it| it.stream == 1 && it.flags & END_STREAM != 0);
    assert_eq!(end.await.unwrap().kind, DATA);
    gateway.all_ended().await;
    let endpoint = gateway.rooms.pools[0].router.snapshot().endpoints.remove(0);
    assert_eq!((endpoint.outcomes.success, endpoint.in_flight), (2, 0));
}

#[tokio::test]
async fn a_stream_that_is_reset_and_an_endpoint_that_goes_end_the_tunnel() {
    let gateway = Upgrading::websocket("").await;
    let (mut client, _, mut endpoint, _) = tunnel(&gateway).await;
    let reset = frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    client.send(&reset).await;
    ends(&mut endpoint).await;
    gateway.all_ended().await;

    let (client, _, mut endpoint, _) = tunnel(&gateway).await;
    drop(client);
    ends(&mut endpoint).await;
    gateway.all_ended().await;
}

#[tokio::test]
async fn only_what_the_route_lets_pass_and_the_endpoint_agrees_to_is_agreed_to() {
    let gateway = Upgrading::websocket("").await;
    let plain = frame(HEADERS, END_HEADERS, 1, &head("CONNECT", "/chat"));
    for refused in [connect("other"), plain] {
        let mut client = Frames::open(gateway.address).await;
        client.send(&refused).await;
        let answer = client.next_where(|it| matches!(it.kind, HEADERS | RST_STREAM));
        let answer = answer.await.unwrap();
        assert!(answer.kind == RST_STREAM || answer.payload[0] == IS_ANOTHER);
    }
    assert_eq!(gateway.tunnels(), 0);
    let silent = Upgrading::serving("", "").await;
    let mut client = Frames::open(silent.address).await;
    client.send(&connect("websocket")).await;
    let answer = client.next_where(|it| matches!(it.kind, HEADERS | RST_STREAM));
    assert_eq!(answer.await.unwrap().kind, RST_STREAM);
}

#[tokio::test]
async fn what_the_endpoint_answers_instead_passes_as_it_is_unless_it_would_be_taken_for_an_agreement()
 {
    let gateway = Upgrading::websocket("").await;
    let mut client = speaking(&gateway).await;
    for (status, passes) in [
        ("302 Found", true),
        ("403 Forbidden", true),
        ("200 OK\r\nconnection: upgrade\r\nupgrade: websocket", false),
        ("204 No Content", false),
    ] {
        let answer = async {
            let (_, mut endpoint) = gateway.taken().await;
            let head = format!("HTTP/1.1 {status}\r\ncache-control: max-age=60\r\netag: \"1\"\r\n");
            let of_body = if status.starts_with("204") {
                "\r\n"
            } else {
                "content-length: 4\r\n\r\ntheir"
            };
            endpoint
                .write_all((head + of_body).as_bytes())
                .await
                .unwrap();
        };
        let (answered, ()) = tokio::join!(client.send_request(asking(&gateway)), answer);
        let (head, body) = answered.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(head.headers.contains_key("etag"), passes, "{status}");
        if passes {
            assert!(status.starts_with(head.status.as_str()), "{status}");
            assert_eq!(&body[..], b"thei");
        } else {
            assert_eq!(head.status, StatusCode::BAD_GATEWAY, "{status}");
            assert_eq!(head.headers["cache-control"], "no-store");
            assert_eq!(head.headers["content-type"], "application/problem+json");
            assert!(body.starts_with(b"{"), "{body:?}");
        }
    }
    assert_eq!(gateway.tunnels(), 0);
    // To all who judge or write of it the two are failures.
    let endpoint = gateway.rooms.pools[0].router.snapshot().endpoints.remove(0);
    assert_eq!(
        (endpoint.outcomes.success, endpoint.outcomes.failure),
        (2, 2)
    );
    let calls = gateway.rooms.routes[0].breaker.snapshot().calls;
    assert_eq!((calls.success, calls.failure), (2, 2));
}

#[tokio::test]
async fn a_stream_takes_a_place_among_the_connections_and_is_refused_where_there_is_none() {
    // One is the client's own, and one is kept for whoever connects next.
    let gateway = Upgrading::websocket("max_connections = 3").await;
    let mut client = speaking(&gateway).await;
    for _ in 0..2 {
        let agree = async {
            let (_, mut endpoint) = gateway.taken().await;
            endpoint.write_all(SWITCHING.as_bytes()).await.unwrap();
            endpoint
        };
        let (agreed, endpoint) = tokio::join!(client.send_request(asking(&gateway)), agree);
        let agreed = agreed.unwrap();
        assert_eq!(agreed.status(), StatusCode::OK);
        assert_eq!(gateway.connections.open(), 2);

        let sent = client.send_request(asking(&gateway));
        let refused = bounded("it is answered", sent).await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            refused.headers()["content-type"],
            "application/problem+json"
        );
        assert_eq!(gateway.tunnels(), 1);
        let mut other = Frames::open(gateway.address).await;
        other.next_of(SETTINGS).await.unwrap();
        drop(other);

        drop((agreed, endpoint));
        gateway.all_ended().await;
        bounded("their places are given back", async {
            while gateway.connections.open() > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    // Neither says anything of the endpoint.
    let endpoint = gateway.rooms.pools[0].router.snapshot().endpoints.remove(0);
    assert_eq!(
        (endpoint.outcomes.success, endpoint.outcomes.failure),
        (2, 0)
    );
    assert_eq!(endpoint.outcomes.ignored, 2);
}

#[tokio::test]
async fn a_connection_with_a_tunnel_is_not_idle() {
    let gateway = Upgrading::websocket("idle_timeout = \"200ms\"\nwrite_timeout = \"200ms\"").await;
    let (mut client, _, mut endpoint, _) = tunnel(&gateway).await;
    // Others are closed meanwhile, one after the other.
    for _ in 0..3 {
        let mut idle = Frames::open(gateway.address).await;
        assert!(
            idle.next_of(GOAWAY)
                .await
                .is_none_or(|it| it.number(4) == 0)
        );
    }
    client.send(&frame(DATA, 0, 1, b"still here")).await;
    comes(&mut endpoint, b"still here").await;
}

#[tokio::test]
async fn who_takes_nothing_of_a_tunnel_is_let_go_and_the_connection_goes_on() {
    let gateway = Upgrading::websocket("write_timeout = \"300ms\"").await;
    let (mut client, _, mut endpoint, _) = tunnel(&gateway).await;
    // More than the window that the client never opens again.
    let much = vec![b'x'; 1 << 20];
    drop(endpoint.write_all(&much).await);
    bounded("the tunnel ends", async {
        while gateway.tunnels() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let more = frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 20).to_be_bytes());
    client.send(&more).await;
    client.send(&get(3)).await;
    let (_, mut other) = gateway.taken().await;
    other.write_all(OK.as_bytes()).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.unwrap().stream, 3);
}

#[tokio::test]
async fn a_drain_waits_for_a_tunnel_and_then_cuts_it() {
    let keys = "lame_duck = \"1ms\"\ndrain_deadline = \"300ms\"";
    let gateway = Upgrading::websocket(keys).await;
    let (mut client, _, mut endpoint, _) = tunnel(&gateway).await;
    gateway.drain.start();
    client.next_of(GOAWAY).await.unwrap();
    client.send(&frame(DATA, 0, 1, b"last words")).await;
    comes(&mut endpoint, b"last words").await;
    ends(&mut endpoint).await;
    bounded("it ends", gateway.ended).await.unwrap();
}

#[tokio::test]
async fn a_server_of_somebody_elses_speaks_to_a_client_of_http_2() {
    let gateway = Upgrading::websocket("").await;
    let server = async {
        let (stream, _) = gateway.upstream.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    };
    let client = async {
        let mut send = speaking(&gateway).await;
        let response = send.send_request(asking(&gateway)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        for name in ["connection", "upgrade", "sec-websocket-accept"] {
            assert!(!response.headers().contains_key(name), "{name}");
        }
        let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        for message in [Message::text("hello"), Message::binary(vec![7; 1 << 20])] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.close(None).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap().is_close());
    };
    bounded("all is said", async { tokio::join!(server, client) }).await;
    gateway.all_ended().await;
}

#[tokio::test]
async fn that_it_is_taken_is_said_where_a_route_lets_it_pass() {
    let gateway = Upgrading::websocket("").await;
    let other = Upgrading::serving("", "").await;
    for (address, is_taken) in [
        (gateway.address, true),
        (gateway.admin, false),
        (other.address, false),
        (other.admin, false),
    ] {
        let mut client = Frames::open(address).await;
        let settings = client.next_of(SETTINGS).await.unwrap();
        let mut said = settings.payload.chunks(6);
        assert_eq!(said.any(|it| it == [0, 8, 0, 0, 0, 1]), is_taken);
    }
}
