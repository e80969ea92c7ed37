//! Clients of HTTP/2 that send what costs them little and a server much, frame by frame, on real sockets: each is told to
//! calm down or is waited for no longer, and others are served.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::net::SocketAddr;

use support::frames::{
    ACK, CANCEL, CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR,
    Frames, GOAWAY, HEADERS, PING, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, field,
    frame, get, head,
};
use support::{Upstream, bounded, gateway};

/// More than any limit.
const MANY: u32 = 5000;
/// So many requests may be reset before they are looked at, at once.
const UNSEEN: u32 = 20;
/// So many may be reset on this side, in the life of a connection.
const MISTAKES: u32 = 1024;
/// Streams at once that the gateway says it takes.
const STREAMS: u32 = 100;

/// A gateway before an upstream that never answers.
async fn before_silence() -> SocketAddr {
    let upstream = Upstream::answering("").await;
    gateway(upstream.address, "write_timeout = \"500ms\"", "")
        .await
        .address
}

/// The identity of the `n`th stream of a client.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// Opens the window of a stream, or of the connection, by so much.
fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// What a client is told that sends that much of something, if it listens.
async fn told(gateway: SocketAddr, flood: Vec<u8>) -> Option<u32> {
    let client = Frames::open(gateway).await;
    let (mut reading, mut writing) = client.split();
    let write = tokio::spawn(async move {
        writing.send(&flood).await;
        writing
    });
    let told = reading.goes_away().await;
    drop(
        bounded("what is sent is taken or refused", write)
            .await
            .unwrap(),
    );
    told
}

/// Somebody else is answered: the upstream is silent, but a target that is none is refused by the gateway itself.
async fn others_are_served(gateway: SocketAddr) {
    let mut client = Frames::open(gateway).await;
    let request = head("GET", "/../x");
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &request);
    client.send(&request).await;
    let answer = client.next_of(HEADERS).await.unwrap();
    // 400, of HPACK's static table.
    assert_eq!((answer.stream, answer.payload[0]), (1, 0x8c));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_resets_his_requests_as_fast_as_he_sends_them_is_told_to_calm_down() {
    let gateway = before_silence().await;
    let each = |n| [get(stream(n)), reset(stream(n))].concat();
    let flood = (0..MANY).flat_map(each).collect();
    assert_eq!(told(gateway, flood).await, Some(ENHANCE_YOUR_CALM));
    others_are_served(gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_his_requests_reset_by_mistakes_is_told_to_calm_down() {
    let gateway = before_silence().await;
    // A window that is opened too far is an error of its stream.
    let each = |n| [get(stream(n)), window(stream(n), u32::MAX >> 1)].concat();
    let flood = (0..MANY).flat_map(each).collect();
    assert_eq!(told(gateway, flood).await, Some(ENHANCE_YOUR_CALM));
    others_are_served(gateway).await;
}

/// Whether the connection of who sends that, all at once, is ended with a word; it answers a ping if not.
async fn is_calmed(gateway: SocketAddr, flood: Vec<u8>) -> bool {
    let mut client = Frames::open(gateway).await;
    let settings = client.next_where(|it| it.kind == SETTINGS && it.flags & ACK == 0);
    assert!(settings.await.is_some());
    let all = [flood, frame(PING, 0, 0, &[0; 8])].concat();
    client.send(&all).await;
    let told = client.next_where(|it| it.kind == GOAWAY || it.kind == PING && it.flags & ACK != 0);
    let told = told.await.unwrap();
    told.kind == GOAWAY && told.number(4) == ENHANCE_YOUR_CALM
}

#[tokio::test]
async fn no_fewer_resets_and_no_more_are_borne_than_was_said() {
    let gateway = before_silence().await;
    let unseen = |n| [get(stream(n)), reset(stream(n))].concat();
    // In one piece, which is read at once.
    let bytes = |count| (0..count).flat_map(unseen).collect::<Vec<u8>>();
    assert!(!is_calmed(gateway, bytes(UNSEEN)).await);
    assert!(is_calmed(gateway, bytes(UNSEEN + 1)).await);
    let mistake = |n| [get(stream(n)), window(stream(n), u32::MAX >> 1)].concat();
    let bytes = |count| (0..count).flat_map(mistake).collect::<Vec<u8>>();
    assert!(!is_calmed(gateway, bytes(MISTAKES)).await);
    assert!(is_calmed(gateway, bytes(MISTAKES + 1)).await);
    others_are_served(gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_go_on_and_on_are_not_waited_for() {
    let gateway = before_silence().await;
    let begin = frame(HEADERS, END_STREAM, 1, &head("GET", "/"));
    let long = field("x-long", &"a".repeat(100)).repeat(100);
    for part in [&[][..], &field("x", "y"), &long] {
        let mut flood = begin.clone();
        for _ in 0..MANY {
            flood.extend(frame(CONTINUATION, 0, 1, part));
        }
        assert_eq!(told(gateway, flood).await, Some(ENHANCE_YOUR_CALM));
    }
    others_are_served(gateway).await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_the_next_is_taken() {
    let gateway = before_silence().await;
    let mut client = Frames::open(gateway).await;
    let long = field("x-long", &"a".repeat(100)).repeat(140);
    let parts = [
        frame(HEADERS, END_STREAM, 1, &head("GET", "/../x")),
        frame(CONTINUATION, END_HEADERS, 1, &long),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, &head("GET", "/../x")),
    ];
    client.send(&parts.concat()).await;
    let refused = client.next_of(HEADERS).await.unwrap();
    let text = String::from_utf8_lossy(&refused.payload).into_owned();
    assert!(refused.stream == 1 && refused.payload[0] != 0x8c, "{text}");
    let answer = client.next_of(HEADERS).await.unwrap();
    assert_eq!((answer.stream, answer.payload[0]), (3, 0x8c));
}

#[tokio::test]
async fn no_more_requests_are_taken_at_once_than_was_said() {
    let gateway = before_silence().await;
    let mut client = Frames::open(gateway).await;
    let settings = client.next_where(|it| it.kind == SETTINGS && it.flags & ACK == 0);
    let settings = settings.await.unwrap();
    let mut said = settings.payload.chunks(6);
    assert!(said.any(|it| it == [&[0, 3][..], &STREAMS.to_be_bytes()].concat()));
    // Only who has been told, and says so, is held to it.
    client.send(&frame(SETTINGS, ACK, 0, &[])).await;
    let all = (0..=STREAMS)
        .flat_map(|n| get(stream(n)))
        .collect::<Vec<_>>();
    client.send(&all).await;
    let refused = client.next_of(RST_STREAM).await.unwrap();
    assert_eq!(
        (refused.stream, refused.number(0)),
        (stream(STREAMS), REFUSED_STREAM)
    );
    client.send(&reset(1)).await;
    client.send(&get(stream(STREAMS + 1))).await;
    client.send(&frame(PING, 0, 0, &[0; 8])).await;
    let next = client.next_where(|it| matches!(it.kind, PING | RST_STREAM));
    assert_eq!(next.await.unwrap().kind, PING, "there is room again");
}

#[tokio::test]
async fn a_window_has_an_end() {
    let gateway = before_silence().await;
    let flood = window(0, u32::MAX >> 1).repeat(2);
    assert_eq!(told(gateway, flood).await, Some(FLOW_CONTROL_ERROR));
    others_are_served(gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_and_asks_and_takes_no_answer_is_read_no_further_and_then_let_go() {
    let gateway = before_silence().await;
    // With a request in flight, and without.
    for first in [get(1), Vec::new()] {
        for asks in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
            let mut client = Frames::open(gateway).await;
            client.send(&first).await;
            let part = asks.repeat(10_000);
            // What sockets hold is far less.
            let flood = async {
                for _ in 0..10_000 {
                    if !client.writing.sends(&part).await {
                        return true;
                    }
                }
                false
            };
            assert!(bounded("the connection ends", flood).await);
        }
    }
    others_are_served(gateway).await;
}
