//! Bodies stream: what passes is not held.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};

use buttress_testing::{Behaviour, FakeUpstream, body};
use buttress_tests::{Stand, until};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;

const SIZE: u64 = 256 << 20;
const CHUNK: &[u8] = &[7; 64 << 10];
/// What may lie between the two ends: mostly the kernel's socket buffers, of two connections, which
/// grow to tens of MiB each where the machine is busy.
const MOST_UNDER_WAY: u64 = 96 << 20;
/// What this process itself may grow by, client and upstream included.
const MOST_HELD: u64 = 48 << 20;

/// `SIZE` bytes in chunks, counted as they are taken.
struct Counted {
    taken: Arc<AtomicU64>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.taken.load(SeqCst) >= SIZE {
            return Poll::Ready(None);
        }
        self.taken.fetch_add(CHUNK.len() as u64, SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(CHUNK)))))
    }
}

/// Reads a body to its end, and says how far the sender was ahead at most.
async fn drain<B: Body<Data = Bytes> + Unpin>(mut body: B, sent: &AtomicU64) -> (u64, u64)
where
    B::Error: std::fmt::Debug,
{
    let (mut read, mut ahead) = (0, 0);
    while let Some(frame) = body.frame().await {
        read += frame
            .unwrap()
            .data_ref()
            .map_or(0, |data| data.len() as u64);
        ahead = ahead.max(sent.load(SeqCst).saturating_sub(read));
    }
    (read, ahead)
}

/// The largest resident size of this process, where the kernel tells.
fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_of_256_mib_passes_in_constant_memory() {
    let sent = Arc::new(AtomicU64::new(0));
    let taken = Arc::clone(&sent);
    let upstream = FakeUpstream::with(Behaviour::handler(move |_| {
        let stream = Counted {
            taken: Arc::clone(&taken),
        };
        async { Response::new(body(stream)) }
    }));
    let upstream = upstream.await;
    let stand = Stand::usual(&Stand::one_route(&[upstream.addr()], "", "")).await;
    let client = stand.client();
    let request = client
        .request(Method::GET, "/")
        .body(Full::default())
        .unwrap();
    let before = peak_resident();
    let (read, ahead) = drain(client.open(request).await.into_body(), &sent).await;
    assert_eq!(read, SIZE);
    assert!(ahead <= MOST_UNDER_WAY, "{ahead} bytes were under way");
    if let (Some(before), Some(after)) = (before, peak_resident()) {
        assert!(
            after - before <= MOST_HELD,
            "memory grew by {} bytes",
            after - before
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_of_256_mib_passes_in_constant_memory() {
    let sent = Arc::new(AtomicU64::new(0));
    let source = Arc::clone(&sent);
    let upstream = FakeUpstream::with(Behaviour::handler(move |request: Request<_>| {
        let sent = Arc::clone(&source);
        async move {
            let (read, ahead) = drain(request.into_body(), &sent).await;
            Response::new(body(Full::new(Bytes::from(format!("{read} {ahead}")))))
        }
    }));
    let upstream = upstream.await;
    let stand = Stand::usual(&Stand::one_route(&[upstream.addr()], "", "")).await;
    let client: legacy::Client<_, Counted> =
        legacy::Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("http://{}/", stand.address));
    let answer = client
        .request(request.body(Counted { taken: sent }).unwrap())
        .await
        .unwrap();
    let said = answer.into_body().collect().await.unwrap().to_bytes();
    let said = String::from_utf8(said.to_vec()).unwrap();
    let (read, ahead) = said.split_once(' ').unwrap();
    assert_eq!(read.parse::<u64>().unwrap(), SIZE);
    assert!(
        ahead.parse::<u64>().unwrap() <= MOST_UNDER_WAY,
        "{ahead} bytes were under way"
    );
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_body_leaves_nothing_in_flight() {
    let upstream = FakeUpstream::with(Behaviour::handler(|_| async {
        Response::new(body(Counted {
            taken: Arc::new(AtomicU64::new(0)),
        }))
    }));
    let upstream = upstream.await;
    let stand = Stand::usual(&Stand::one_route(&[upstream.addr()], "", "")).await;
    for _ in 0..5 {
        let client = stand.client();
        let request = client
            .request(Method::GET, "/")
            .body(Full::default())
            .unwrap();
        let mut body = client.open(request).await.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(stand.rooms.latency.in_flight() > 0);
        drop((body, client));
    }
    let pool = || stand.rooms.pools[0].router.snapshot();
    until("nothing in flight on the route", || {
        stand.rooms.latency.in_flight() == 0
    })
    .await;
    until("nothing in flight at the endpoint", || {
        pool().endpoints[0].in_flight == 0
    })
    .await;
    assert_eq!(pool().endpoints[0].outcomes.abandoned, 5);
    assert_eq!(
        stand
            .rooms
            .route("all")
            .unwrap()
            .breaker
            .snapshot()
            .calls
            .abandoned,
        5
    );
    let metrics = stand.metrics().await;
    assert_eq!(metrics.sum("http_server_active_requests", &[]), Some(0.0));
}
