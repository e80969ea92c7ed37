//! A WebSocket client and a server of somebody else's, and the gateway between them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use futures_util::{SinkExt as _, StreamExt as _};
use support::bounded;
use support::upgraded::Upgrading;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{accept_async, client_async};

/// Sends back whatever comes, until the client says goodbye.
async fn echo(gateway: &Upgrading) {
    let (stream, _) = gateway.upstream.accept().await.unwrap();
    let mut socket = accept_async(stream).await.unwrap();
    while let Some(message) = socket.next().await {
        let message = message.unwrap();
        if message.is_text() || message.is_binary() {
            socket.send(message).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_client_and_a_server_speak_as_if_nobody_were_between_them() {
    let gateway = Upgrading::websocket("").await;
    let client = async {
        let stream = gateway.connect().await;
        let opened = client_async("ws://a/chat", stream).await;
        let (mut socket, response) = opened.unwrap();
        assert!(response.headers().contains_key("x-correlation-id"));
        for message in [
            Message::text("hello"),
            Message::binary(vec![]),
            Message::binary(vec![7; 1 << 20]),
        ] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.send(Message::Ping("there?".into())).await.unwrap();
        let pong = socket.next().await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong("there?".into()));
        socket.close(None).await.unwrap();
        let last = socket.next().await.unwrap().unwrap();
        assert!(last.is_close(), "{last:?}");
        assert!(socket.next().await.is_none());
    };
    bounded("all is said", async {
        tokio::join!(echo(&gateway), client)
    })
    .await;
    gateway.all_ended().await;
}

#[tokio::test]
async fn a_route_that_lets_nothing_pass_fails_the_handshake_and_not_more() {
    let gateway = Upgrading::serving("", "").await;
    let stream = gateway.connect().await;
    let client = client_async("ws://a/chat", stream);
    let server = async {
        let (stream, _) = gateway.upstream.accept().await.unwrap();
        // To whom the request names no protocol.
        assert!(accept_async(stream).await.is_err());
    };
    let (opened, ()) = bounded("it fails", async { tokio::join!(client, server) }).await;
    assert!(matches!(opened, Err(Error::Http(_))), "{opened:?}");
}
