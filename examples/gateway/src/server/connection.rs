//! One connection, from its acceptance to its end.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress::core::clock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::ConnectionLimits;
use super::activity::Activity;
use super::afterwards::Afterwards;
use super::drain::{Drain, Phase};
use super::exchange::PerConnection;
use super::io::NotedIo;
use super::places::Places;
use super::protocol::Connection;
use super::registered::Registered;
use super::service::HttpService;
use super::watch::Watch;
use crate::alarm::{self, Wanted};
use crate::body::now;

/// A connection that was made just before the listener closed may have a request on its way.
const OPENING_GRACE: Duration = Duration::from_millis(500);

/// Serves `service`, to whose streams that go on as connections `streams` are given, if they may.
pub(super) async fn serve<T, S>(
    io: T,
    peer: SocketAddr,
    (service, streams): (S, Option<Places>),
    limits: ConnectionLimits,
    drain: Drain,
    recent: fn() -> Instant,
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: HttpService,
{
    let activity = Arc::new(Activity::new(drain.clone()));
    let io = NotedIo::new(io, Arc::clone(&activity));
    let service = PerConnection::new(service, streams, Arc::clone(&activity));
    serve_http(io, peer, service, limits, drain, recent, &activity).await;
    // All of HTTP is gone by now, and what waits for its connection would know if it got none.
    if let Some(work) = activity.afterwards().and_then(Afterwards::take) {
        work.await;
    }
}

async fn serve_http<T, S>(
    io: NotedIo<T>,
    peer: SocketAddr,
    service: PerConnection<S>,
    limits: ConnectionLimits,
    drain: Drain,
    recent: fn() -> Instant,
    activity: &Arc<Activity>,
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: HttpService,
{
    let mut connection = pin!(Connection::new(io, service));
    let mut ending = pin!(Ending::new(drain));
    let mut guard = pin!(Guard::new(Arc::clone(activity), limits, recent));
    // To the layers' clock each poll is one moment.
    poll_fn(|cx| {
        clock::moment(|| {
            loop {
                let fired = guard.has_fired();
                let (polled, wanted) = alarm::keep(cx, fired, |cx| connection.as_mut().poll(cx));
                if let Poll::Ready(ended) = polled {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection broke");
                    }
                    return Poll::Ready(());
                }
                if let Poll::Ready(reason) = guard.as_mut().poll_silent(cx, fired, wanted) {
                    tracing::debug!(%peer, reason, "closing connection");
                    return Poll::Ready(());
                }
                // Last, so that a head is seen that had come when the end was asked for.
                ready!(ending.as_mut().poll_now(cx, guard.as_mut()));
                connection.as_mut().graceful_shutdown();
            }
        })
    })
    .await;
}

pin_project_lite::pin_project! {
    /// When a connection is to be told to end.
    struct Ending<F> {
        drain: Drain,
        #[pin]
        closing: Registered<F>,
        step: Step,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    NotAsked,
    Asked,
    Told,
}

impl Ending<()> {
    fn new(drain: Drain) -> Ending<impl Future<Output = ()> + Send> {
        Ending {
            closing: Registered::new(drain.reached(Phase::Closing)),
            drain,
            step: Step::NotAsked,
        }
    }
}

impl<F: Future<Output = ()>> Ending<F> {
    /// Ready once, when the connection has to be told.
    fn poll_now(self: Pin<&mut Self>, cx: &mut Context<'_>, guard: Pin<&mut Guard>) -> Poll<()> {
        let this = self.project();
        if *this.step == Step::NotAsked {
            // Every phase on the way spends the registration.
            let begun = this.drain.is_draining();
            ready!(this.closing.poll_if(begun, cx));
            *this.step = Step::Asked;
        }
        if *this.step == Step::Told {
            return Poll::Pending;
        }
        ready!(guard.poll_may_end(cx));
        *this.step = Step::Told;
        Poll::Ready(())
    }
}

pin_project_lite::pin_project! {
    /// Ends a connection that is silent for too long. Polled after the connection, in its task.
    struct Guard {
        activity: Arc<Activity>,
        watch: Watch,
        accepted: Instant,
        // What the clock said when it was read last.
        known: Instant,
        // The time, near enough to begin a wait of seconds.
        recent: fn() -> Instant,
        #[pin]
        timer: Registered<Sleep>,
    }
}

impl Guard {
    fn new(activity: Arc<Activity>, limits: ConnectionLimits, recent: fn() -> Instant) -> Self {
        let accepted = now();
        let watch = Watch::new(limits, accepted);
        let timer = Registered::new(tokio::time::sleep_until(watch.deadline()));
        Self {
            activity,
            watch,
            accepted,
            known: accepted,
            recent,
            timer,
        }
    }

    /// Whether the timer has fired since it was looked at last.
    fn has_fired(&self) -> bool {
        self.timer.get_ref().is_elapsed()
    }

    /// Ready with the reason once the connection has to end. What is polled on the connection has seen
    /// whether the timer has `fired`, and wants to be polled again.
    fn poll_silent(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        fired: bool,
        wanted: Wanted,
    ) -> Poll<&'static str> {
        let mut this = self.project();
        let seen = this.activity.seen();
        let known = this.known;
        if this.watch.is_news(&seen) {
            this.watch.observe(seen, || {
                *known = (this.recent)();
                *known
            });
        }
        let mut due = earliest(this.watch.deadline(), wanted.at);
        let deadline = this.timer.get_ref().deadline();
        // It is later than when the clock was read last: who is early by that is early enough.
        if let Some(within) = wanted.within.filter(|within| deadline > *known + *within) {
            *known = now();
            due = due.min(*known + within);
        }
        // A timer that fires early looks again; only one that would fire late is moved.
        if due < deadline {
            this.timer.as_mut().renewed().reset(due);
        }
        while poll_timer(this.timer.as_mut(), cx).is_ready() {
            *known = now();
            if this.watch.has_expired(*known) {
                return Poll::Ready(this.watch.reason());
            }
            this.activity.begin_turn(this.watch.turn());
            // Who has not seen that it fired says how long it waits, and not how much of that is left.
            let left = wanted
                .within
                .map(|within| *known + if fired { within } else { Duration::ZERO });
            let due = earliest(this.watch.deadline(), wanted.at);
            this.timer.as_mut().renewed().reset(earliest(due, left));
        }
        Poll::Pending
    }

    /// Ready once a connection may be told to end: at once, unless a head has begun, which is timed
    /// anyway, or it is so new that its first may be on its way. Nor while a request is answered that asks for another
    /// protocol: a `101` is the last head as it is, and one that says `close` besides would be taken at its word.
    fn poll_may_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.watch.has_part_of_a_head() || this.activity.may_go_on() {
            return Poll::Pending;
        }
        let grace_ends = *this.accepted + OPENING_GRACE;
        if this.watch.expects_no_head() || now() >= grace_ends {
            return Poll::Ready(());
        }
        if grace_ends < this.timer.get_ref().deadline() {
            this.timer.as_mut().renewed().reset(grace_ends);
        }
        poll_timer(this.timer.as_mut(), cx)
    }
}

fn earliest(due: Instant, other: Option<Instant>) -> Instant {
    other.map_or(due, |other| other.min(due))
}

fn poll_timer(timer: Pin<&mut Registered<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
    let elapsed = timer.get_ref().is_elapsed();
    timer.poll_if(elapsed, cx)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::body::Incoming;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::server::protocol::MAX_HEAD;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        header: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        write: Duration::from_secs(30),
    };
    /// Of a response; the connection holds far less of it.
    const LONG: usize = 100_000;

    /// A client, and a connection served to it that answers with `length` bytes.
    fn connected(length: usize, drain: &Drain) -> (DuplexStream, JoinHandle<()>) {
        let body = Bytes::from(vec![b'x'; length]);
        let service = tower::service_fn(move |_: Request<Incoming>| {
            let response = Response::new(Full::new(body.clone()));
            async { Ok::<_, Infallible>(response) }
        });
        connected_to(service, drain)
    }

    fn connected_to<S: HttpService>(service: S, drain: &Drain) -> (DuplexStream, JoinHandle<()>) {
        let (client, served) = tokio::io::duplex(1024);
        let peer = ([192, 0, 2, 1], 1).into();
        let serving = tokio::spawn(serve(
            served,
            peer,
            (service, None),
            LIMITS,
            drain.clone(),
            now,
        ));
        (client, serving)
    }

    async fn rest(client: &mut DuplexStream) -> String {
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        rest
    }

    /// Lets all that is due run; the clock is paused, and goes on only when nothing else is to do.
    async fn settle() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_long_response_slowly_gets_all_of_it() {
        let (mut client, _serving) = connected(LONG, &Drain::new());
        let get = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        client.write_all(get).await.unwrap();
        let mut taken = 0;
        let mut part = [0; 1024];
        while let n @ 1.. = client.read(&mut part).await.unwrap() {
            taken += n;
            tokio::time::sleep(LIMITS.write * 9 / 10).await;
        }
        assert!(taken > LONG, "cut after {taken} bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_but_takes_nothing_is_cut() {
        let (mut client, serving) = connected(LONG, &Drain::new());
        let upload = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n";
        client.write_all(upload).await.unwrap();
        let begun = now();
        while !serving.is_finished() {
            drop(client.write_all(b"x").await);
            tokio::time::sleep(LIMITS.write / 10).await;
        }
        assert!(now() - begun <= LIMITS.write * 2);
    }

    /// Answers when a wait for `limit` has ended, which the connection's task has to be woken for.
    fn waiting(limit: Duration, by_deadline: bool) -> impl HttpService {
        tower::service_fn(move |_: Request<Incoming>| async move {
            let since = now();
            poll_fn(|cx| {
                if by_deadline {
                    alarm::poll_until(cx, since + limit).unwrap()
                } else {
                    alarm::poll_for(cx, limit, || now() - since).unwrap()
                }
            })
            .await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_began_during_the_exchange_before_has_no_longer_than_any_head() {
        let wait = LIMITS.header / 2;
        let (mut client, serving) = connected_to(waiting(wait, true), &Drain::new());
        let get = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(get).await.unwrap();
        settle().await;
        client.write_all(b"GET /").await.unwrap();
        let begun = now();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        serving.await.unwrap();
        assert!(
            now() - begun < LIMITS.idle,
            "it was held for an idle connection"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_that_waits_is_polled_when_its_wait_ends() {
        let limits = [
            LIMITS.header / 2,
            LIMITS.header,
            LIMITS.idle / 2,
            LIMITS.idle * 3,
        ];
        for (limit, by_deadline) in limits.into_iter().flat_map(|l| [(l, true), (l, false)]) {
            let drain = Drain::new();
            let (mut client, _serving) = connected_to(waiting(limit, by_deadline), &drain);
            let mut answer = [0; 12];
            for pause in [LIMITS.header / 2, LIMITS.idle / 2, LIMITS.idle * 2 / 3] {
                tokio::time::sleep(pause).await;
                let begun = now();
                client
                    .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                    .await
                    .unwrap();
                client.read_exact(&mut answer).await.unwrap();
                assert_eq!((now() - begun).as_secs(), limit.as_secs());
                let mut rest = [0; 1024];
                settle().await;
                let _rest = client.read(&mut rest).await.unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_begun_is_served_though_the_end_was_asked_for() {
        let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for (before, answers) in [("", 1), (get, 2)] {
            let drain = Drain::new();
            let (mut client, serving) = connected(0, &drain);
            client.write_all(before.as_bytes()).await.unwrap();
            settle().await;
            let (part, left) = get.split_at(20);
            client.write_all(part.as_bytes()).await.unwrap();
            settle().await;
            drain.advance(Phase::Closing);
            tokio::time::sleep(OPENING_GRACE * 4).await;
            client.write_all(left.as_bytes()).await.unwrap();
            let all = rest(&mut client).await;
            assert_eq!(all.matches("HTTP/1.1 200 OK").count(), answers, "{all}");
            assert_eq!(all.matches("connection: close").count(), 1, "{all}");
            serving.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_timed_though_the_end_was_asked_for() {
        let drain = Drain::new();
        let (mut client, serving) = connected(0, &drain);
        client.write_all(b"GET / HT").await.unwrap();
        settle().await;
        drain.advance(Phase::Closing);
        let begun = now();
        serving.await.unwrap();
        assert!(now() - begun <= LIMITS.header);
        assert_eq!(rest(&mut client).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_ends_as_soon_as_the_listener_closes() {
        let drain = Drain::new();
        let (mut client, serving) = connected(0, &drain);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        settle().await;
        drain.start();
        settle().await;
        assert!(!serving.is_finished());
        drain.advance(Phase::Closing);
        let begun = now();
        serving.await.unwrap();
        assert_eq!(now(), begun);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_head_ends_after_its_grace() {
        let drain = Drain::new();
        let (_client, serving) = connected(0, &drain);
        settle().await;
        drain.advance(Phase::Closing);
        let begun = now();
        serving.await.unwrap();
        assert!(now() - begun <= OPENING_GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_over_the_limit_is_refused() {
        for (length, status) in [(MAX_HEAD - 1024, "200"), (MAX_HEAD + 1, "431")] {
            let (client, _serving) = connected(0, &Drain::new());
            let (mut read, mut write) = tokio::io::split(client);
            let value = "x".repeat(length.into());
            let head = format!("GET / HTTP/1.1\r\nconnection: close\r\nx: {value}\r\n\r\n");
            let writing = async { drop(write.write_all(head.as_bytes()).await) };
            let mut answer = [0; 12];
            let ((), answered) = tokio::join!(writing, read.read_exact(&mut answer));
            answered.unwrap();
            assert_eq!(&answer, format!("HTTP/1.1 {status}").as_bytes());
        }
    }
}
