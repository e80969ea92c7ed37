//! tower's own balancer, on tokio's paused clock.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;
use futures_core::Stream;
use http::Request;
use tokio::runtime::Runtime;
use tower::balance::p2c::Balance;
use tower::discover::Change;
use tower::load::{CompleteOnResponse, PeakEwmaDiscover};
use tower_service::Service;

use super::reached::{Calls, Desk, Reached};
use super::{End, Router, View};

/// The mean that an endpoint has before it has any, and the decay: those of tower's own example.
const DEFAULT_RTT: Duration = Duration::from_millis(30);
const DECAY: Duration = Duration::from_secs(10);

type Balancer = Balance<PeakEwmaDiscover<News>, Request<()>>;

/// Who comes and goes, to be told at the next poll.
#[derive(Clone, Debug, Default)]
struct News(Rc<RefCell<VecDeque<Change<usize, Reached>>>>);

/// Chance, from where all chance of a run comes.
struct Chance(Rng);

pub(super) struct TowerBalance {
    runtime: Runtime,
    at: Option<Instant>,
    balancer: Balancer,
    news: News,
    members: Vec<usize>,
    desk: Desk,
    calls: Calls<<Balancer as Service<Request<()>>>::Future>,
}

impl TowerBalance {
    pub(super) fn new(members: &[usize], rng: Rng) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        #[expect(
            clippy::expect_used,
            reason = "a runtime of one thread without I/O asks for nothing"
        )]
        let runtime = runtime.expect("a runtime");
        let news = News::default();
        let discover = PeakEwmaDiscover::new::<Request<()>>(
            news.clone(),
            DEFAULT_RTT,
            DECAY,
            CompleteOnResponse::default(),
        );
        let mut balance = Self {
            runtime,
            at: None,
            balancer: Balance::from_rng(discover, Chance(rng)),
            news,
            members: Vec::new(),
            desk: Desk::default(),
            calls: Calls::new(),
        };
        balance.tell(members);
        balance
    }

    fn tell(&mut self, members: &[usize]) {
        let mut news = self.news.0.borrow_mut();
        for &gone in self.members.iter().filter(|it| !members.contains(it)) {
            news.push_back(Change::Remove(gone));
        }
        for &host in members.iter().filter(|it| !self.members.contains(it)) {
            let desk = self.desk.clone();
            news.push_back(Change::Insert(host, Reached { host, desk }));
        }
        self.members = members.to_vec();
    }

    /// Brings the paused clock to `now`.
    fn come_to(&mut self, now: Instant) {
        let passed = now.saturating_since(self.at.unwrap_or(now));
        self.at = Some(now);
        if !passed.is_zero() {
            self.runtime.block_on(tokio::time::advance(passed));
        }
    }
}

impl Router for TowerBalance {
    fn send(&mut self, call: usize, view: View<'_>) -> Option<usize> {
        self.come_to(view.now);
        let _clock = self.runtime.enter();
        let readied = self
            .balancer
            .poll_ready(&mut Context::from_waker(Waker::noop()));
        if !matches!(readied, Poll::Ready(Ok(()))) {
            return None;
        }
        let future = self.balancer.call(Request::new(()));
        self.calls.begin(call, future, &self.desk)
    }

    fn ended(
        &mut self,
        call: usize,
        _: usize,
        end: End,
        _: Duration,
        now: Instant,
    ) -> Option<usize> {
        self.come_to(now);
        let _clock = self.runtime.enter();
        self.calls.end(call, end, &self.desk)
    }

    fn members(&mut self, members: &[usize], _: Instant) {
        self.tell(members);
    }
}

impl Drop for TowerBalance {
    // A call that is dropped tells its endpoint how long it took, and asks tokio's clock for that.
    fn drop(&mut self) {
        let _clock = self.runtime.enter();
        self.calls.clear();
    }
}

impl Stream for News {
    type Item = Result<Change<usize, Reached>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let news = self.0.borrow_mut().pop_front();
        news.map_or(Poll::Pending, |change| Poll::Ready(Some(Ok(change))))
    }
}

impl tower::util::rng::Rng for Chance {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}
