//! HTTP/2 as clients of all kinds speak it, frame by frame, on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use buttress_gateway::server::Phase;
use buttress_testing::{Behaviour, FakeUpstream, body};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use support::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, PROTOCOL_ERROR,
    RST_STREAM, field, frame, get, head,
};
use support::manual::OnManualClock;
use support::{bounded, exchange, gateway, read_until};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::select;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

fn config(upstream: std::net::SocketAddr) -> String {
    format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\nendpoints = [\"{upstream}\"]\n[[route]]\nname = \"r\"\npool = \"p\"\n"
    )
}

/// What became of calls to the only endpoint, once none is in flight: ignored, abandoned, all others.
async fn ended(gateway: &OnManualClock) -> (u64, u64, u64) {
    let ended = async {
        loop {
            let endpoint = gateway.rooms.pools[0].router.snapshot().endpoints.remove(0);
            let of = endpoint.outcomes;
            if endpoint.in_flight == 0 {
                return (of.ignored, of.abandoned, of.success + of.failure + of.slow);
            }
            yield_now().await;
        }
    };
    bounded("none is in flight", ended).await
}

/// An endpoint that never answers, and how many uploads it has heard all of that came.
async fn silent() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                read_until(&mut stream, "body").await;
                counted.fetch_add(1, Relaxed);
                drop(stream.read_to_end(&mut Vec::new()).await);
            });
        }
    });
    (address, heard)
}

async fn until(heard: &AtomicUsize, wanted: usize) {
    while heard.load(Relaxed) < wanted {
        yield_now().await;
    }
}

/// A client who has sent a part of an upload.
async fn uploading(gateway: &OnManualClock, fields: &[u8]) -> Frames {
    let mut client = Frames::open(gateway.address).await;
    let post = [&head("POST", "/"), fields].concat();
    client.send(&frame(HEADERS, END_HEADERS, 1, &post)).await;
    client.send(&frame(DATA, 0, 1, b"body")).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_its_client_breaks_off_is_the_clients_own_doing() {
    let (upstream, heard) = silent().await;
    let gateway = OnManualClock::serving(&config(upstream)).await;
    // As long as it says how long it is.
    let length = field("content-length", "100000");
    for round in 1..=50 {
        let mut client = uploading(&gateway, &length).await;
        bounded("it is heard", until(&heard, round)).await;
        gateway.time.advance(Duration::from_secs(1));
        if round % 2 == 0 {
            let reset = frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
            client.send(&reset).await;
        } else {
            drop(client);
        }
        assert_eq!(ended(&gateway).await, (round as u64, 0, 0));
    }
    // What is further out is told after the pool is.
    let told = async {
        loop {
            let calls = gateway.rooms.routes[0].breaker.snapshot().calls;
            if calls.ignored + calls.abandoned == 50 && counted(&gateway).await {
                return (calls.ignored, calls.abandoned);
            }
        }
    };
    let calls = bounded("all are counted as a status of 400", Box::pin(told)).await;
    assert_eq!(calls, (50, 0));
}

/// What an endpoint is told in the cookies and lengths of an upload whose client said each by itself.
async fn told(pool: &str) -> Vec<u8> {
    let upstream = FakeUpstream::with(Behaviour::handler(
        |request: Request<Incoming>| async move {
            let values = |name: &str| -> Vec<_> {
                let values = request.headers().get_all(name).iter();
                values.map(|value| value.to_str().unwrap()).collect()
            };
            let told = format!("{:?} {:?}", values("cookie"), values("content-length"));
            Response::new(body(Full::from(told)))
        },
    ))
    .await;
    let running = gateway(upstream.addr(), "", pool).await;
    let mut client = Frames::open(running.address).await;
    let fields = [
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("content-length", "4"),
        ("content-length", "4"),
    ];
    let fields = fields.map(|(name, value)| field(name, value)).concat();
    let post = [head("POST", "/"), fields].concat();
    client.send(&frame(HEADERS, END_HEADERS, 1, &post)).await;
    client.send(&frame(DATA, END_STREAM, 1, b"body")).await;
    client.next_of(DATA).await.unwrap().payload
}

#[tokio::test]
async fn cookies_that_came_one_by_one_reach_an_endpoint_as_one_header_and_so_do_lengths() {
    for pool in ["", "protocol = \"h2\""] {
        let told = told(pool).await;
        assert_eq!(told, br#"["a=1; b=2"] ["4"]"#, "{pool}");
    }
}

#[tokio::test]
async fn a_request_whose_lengths_do_not_agree_is_refused_and_its_connection_goes_on() {
    let upstream = support::Upstream::well().await;
    let gateway = gateway(upstream.address, "", "").await;
    let mut client = Frames::open(gateway.address).await;
    let wrong: [&[&str]; 5] = [&["5", "6"], &["5", ""], &["5, 5"], &["+5"], &["x", "x"]];
    let mut streams = (1..).step_by(2);
    for (lengths, stream) in wrong.into_iter().zip(streams.clone()) {
        let lengths = lengths.iter().flat_map(|it| field("content-length", it));
        let post: Vec<u8> = head("POST", "/").into_iter().chain(lengths).collect();
        client
            .send(&frame(HEADERS, END_HEADERS, stream, &post))
            .await;
        // RFC 9113 §8.1.1: an error of the stream.
        let reset = client.next_of(RST_STREAM).await.unwrap();
        assert_eq!((reset.stream, reset.number(0)), (stream, PROTOCOL_ERROR));
    }
    assert!(upstream.heads().is_empty());
    let next = streams.nth(wrong.len()).unwrap();
    client.send(&get(next)).await;
    assert_eq!(client.next_of(HEADERS).await.unwrap().stream, next);
}

#[tokio::test]
async fn an_upload_that_a_drain_cuts_was_broken_off_by_nobody() {
    let (upstream, heard) = silent().await;
    let gateway = OnManualClock::serving(&config(upstream)).await;
    let length = field("content-length", "100000");
    let _client = uploading(&gateway, &length).await;
    bounded("it is heard", until(&heard, 1)).await;
    gateway.drain.advance(Phase::Cut);
    assert_eq!(ended(&gateway).await, (0, 1, 0));
}

#[tokio::test]
async fn whoever_waits_for_an_answer_with_an_open_upload_and_leaves_shows_how_long_he_waited() {
    let (upstream, heard) = silent().await;
    let gateway = OnManualClock::serving(&config(upstream)).await;
    for round in 1..=10 {
        let mut client = uploading(&gateway, &[]).await;
        bounded("it is heard", until(&heard, round)).await;
        gateway.time.advance(Duration::from_secs(1));
        let reset = frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
        client.send(&reset).await;
        assert_eq!(ended(&gateway).await, (0, round as u64, 0));
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_behind_open_uploads_is_kept_away_from() {
    let well = FakeUpstream::start().await;
    let (hangs, heard) = silent().await;
    let both = config(well.addr()).replace("[\"", &format!("[\"{hangs}\", \""));
    let gateway = OnManualClock::serving(&both).await;
    let mut hung = 0;
    for _ in 0..100 {
        let mut client = uploading(&gateway, &[]).await;
        let answered = async {
            select! {
                head = client.next_of(HEADERS) => head.is_some(),
                () = until(&heard, hung + 1) => false,
            }
        };
        if !bounded("it is answered or hangs", answered).await {
            hung += 1;
            gateway.time.advance(Duration::from_secs(1));
            let reset = frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
            client.send(&reset).await;
        }
        gateway.time.advance(Duration::from_millis(1));
        let at_rest = async {
            let router = &gateway.rooms.pools[0].router;
            while router
                .snapshot()
                .endpoints
                .iter()
                .any(|it| it.in_flight != 0)
            {
                yield_now().await;
            }
        };
        bounded("none is in flight", at_rest).await;
    }
    assert!(hung < 20, "{hung} of 100 hung");
}

/// Whether the metrics show fifty answers of 400.
async fn counted(gateway: &OnManualClock) -> bool {
    let page = format!(
        "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        gateway.admin
    );
    let page = exchange(gateway.admin, page).await;
    page.lines().any(|line| {
        line.starts_with("http_server_request_duration_seconds_count")
            && line.contains("http_response_status_code=\"400\"")
            && line.ends_with(" 50")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_a_whole_request_has_left() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = OnManualClock::serving(&config(upstream.local_addr().unwrap())).await;
    for round in 1..=20 {
        let mut client = Frames::open(gateway.address).await;
        let post = frame(HEADERS, END_HEADERS, 1, &head("POST", "/"));
        client.send(&post).await;
        client.send(&frame(DATA, END_STREAM, 1, b"body")).await;
        let mut endpoint = upstream.accept().await.unwrap().0;
        read_until(&mut endpoint, "body\r\n0\r\n\r\n").await;
        let reset = frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
        client.send(&reset).await;
        assert_eq!(ended(&gateway).await, (0, round, 0));
    }
}

#[tokio::test]
async fn a_drain_answers_what_is_in_flight_and_what_was_on_its_way() {
    let held = Arc::new(Semaphore::new(0));
    let may = Arc::clone(&held);
    let upstream = FakeUpstream::with(Behaviour::handler(move |_| {
        let may = Arc::clone(&may);
        async move {
            may.acquire().await.unwrap().forget();
            Response::new(body(Empty::new()))
        }
    }))
    .await;
    let running = gateway(upstream.addr(), "lame_duck = \"1ms\"", "").await;
    let mut client = Frames::open(running.address).await;
    client.send(&get(1)).await;
    running.drain.start();
    let warning = client.next_of(GOAWAY).await.unwrap();
    assert_eq!(warning.number(0), u32::MAX >> 1, "it still takes all");
    client.send(&get(3)).await;
    // What it asks before it names the last of them.
    let ping = client.next_where(|it| it.kind == PING && it.flags == 0);
    let ping = ping.await.unwrap();
    client.send(&frame(PING, 1, 0, &ping.payload)).await;
    let last = client.next_of(GOAWAY).await.unwrap();
    assert_eq!((last.number(0), last.number(4)), (3, 0));
    held.add_permits(2);
    let mut answered = [
        client.next_of(HEADERS).await.unwrap().stream,
        client.next_of(HEADERS).await.unwrap().stream,
    ];
    answered.sort_unstable();
    assert_eq!(answered, [1, 3]);
    assert!(client.next_of(HEADERS).await.is_none(), "it is closed");
    bounded("it ends", running.ended).await.unwrap();
}

/// An endpoint that takes its leave with the first request of each connection, answers that, and takes no other.
async fn leaving() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (_, mut respond) = connection.accept().await.unwrap().unwrap();
                connection.graceful_shutdown();
                // Its leave is on its way before the answer is.
                let left = poll_fn(|cx| Poll::Ready(connection.poll_closed(cx).is_ready()));
                assert!(!left.await);
                respond.send_response(Response::new(()), true).unwrap();
                while connection.accept().await.is_some() {}
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn an_endpoint_that_takes_its_leave_answers_what_is_in_flight_and_is_connected_to_anew() {
    let (endpoint, connections) = leaving().await;
    let gateway = gateway(endpoint, "", "protocol = \"h2\"").await;
    for asked in 1..=20 {
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = exchange(gateway.address, request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{asked}: {answer}");
    }
    assert_eq!(connections.load(Relaxed), 20);
}
