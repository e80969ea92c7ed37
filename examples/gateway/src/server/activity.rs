//! What goes on on one connection, counted where it happens and read by its [`super::watch`].
//!
//! Its task alone reads and writes its bytes and starts its exchanges, so those counts need no
//! atomic addition. Over HTTP/2 exchanges go on in tasks of their own.
//!
//! Since when an exchange waits for its client is kept without a clock: time goes by in turns, and
//! an exchange is counted in the turn in which its client last took something. Who is still counted
//! in the oldest turn has waited for all the others.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::afterwards::Afterwards;
use super::drain::{Drain, Phase};

/// Whole turns that go by before an exchange has waited for too long.
pub(super) const TURNS: u32 = 4;

/// Those, and the one in which it began to wait.
const KEPT: usize = TURNS as usize + 1;

/// Counters of one connection. They wrap, and are only ever compared.
#[derive(Debug, Default)]
pub(super) struct Activity {
    drain: Drain,
    reads: AtomicU32,
    writes: AtomicU32,
    /// The socket takes no more bytes for now.
    blocked: AtomicBool,
    started: AtomicU32,
    ended: AtomicU32,
    /// How often something had been read when the last exchange over HTTP/1 ended.
    read_before: AtomicU32,
    turn: AtomicU32,
    /// Exchanges that wait for the client, by turn.
    held: [AtomicU32; KEPT],
    http2: AtomicBool,
    /// Over HTTP/1: whether there is no more to come of the request that is worked on.
    whole: AtomicBool,
    /// Over HTTP/1: whether the request that is worked on asks for another protocol.
    handshake: AtomicBool,
    /// Of its last exchange over HTTP/1.
    afterwards: OnceLock<Afterwards>,
}

/// One look at the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) reads: u32,
    pub(super) writes: u32,
    pub(super) blocked: bool,
    pub(super) started: u32,
    pub(super) ended: u32,
    /// Exchanges that have waited for the client since the oldest turn.
    pub(super) overdue: u32,
    pub(super) http2: bool,
    /// Over HTTP/1: whether something was read since the last exchange ended.
    pub(super) goes_on: bool,
}

impl Seen {
    pub(super) const fn in_flight(&self) -> u32 {
        self.started.wrapping_sub(self.ended)
    }
}

impl Activity {
    /// Of a connection that ends with `drain`.
    pub(super) fn new(drain: Drain) -> Self {
        Self {
            drain,
            ..Self::default()
        }
    }

    pub(super) fn seen(&self) -> Seen {
        let oldest = self.turn.load(Relaxed).wrapping_add(1);
        let reads = self.reads.load(Relaxed);
        let http2 = self.http2.load(Relaxed);
        Seen {
            reads,
            writes: self.writes.load(Relaxed),
            blocked: self.blocked.load(Relaxed),
            started: self.started.load(Relaxed),
            ended: self.ended.load(Relaxed),
            overdue: self.held(oldest).load(Relaxed),
            http2,
            goes_on: !http2 && reads != self.read_before.load(Relaxed),
        }
    }

    /// Some bytes were read. For the connection's task alone.
    pub(super) fn read(&self) {
        count(&self.reads);
    }

    /// Some bytes were written. For the connection's task alone.
    pub(super) fn wrote(&self) {
        count(&self.writes);
        self.blocked.store(false, Relaxed);
    }

    /// A write has to wait for the client.
    pub(super) fn is_blocked(&self) {
        self.blocked.store(true, Relaxed);
    }

    pub(super) fn is_http2(&self) {
        self.http2.store(true, Relaxed);
    }

    /// How often bytes were read. For the connection's task alone.
    pub(super) fn reads(&self) -> u32 {
        self.reads.load(Relaxed)
    }

    /// How many exchanges have begun. For the connection's task alone.
    pub(super) fn started(&self) -> u32 {
        self.started.load(Relaxed)
    }

    /// Whether a request of HTTP/1 is worked on, and if so, whether it had no body. For the connection's task alone.
    pub(super) fn at_work(&self) -> Option<bool> {
        let in_flight = self.started.load(Relaxed) != self.ended.load(Relaxed);
        (in_flight && !self.speaks_http2()).then(|| self.whole.load(Relaxed))
    }

    /// Whether a request is worked on after which the connection may go on in another protocol. For the connection's
    /// task alone.
    pub(super) fn may_go_on(&self) -> bool {
        self.at_work().is_some() && self.handshake.load(Relaxed)
    }

    /// Whether the preface of HTTP/2 has come, which is before any of its requests.
    pub(super) fn speaks_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// What the connection goes on with after HTTP, if anything.
    pub(super) fn afterwards(&self) -> Option<&Afterwards> {
        self.afterwards.get()
    }

    /// From here on it is this turn: the one before, plus one. The place of the oldest is taken, so
    /// nobody may be left there.
    pub(super) fn begin_turn(&self, turn: u32) {
        self.turn.store(turn, Relaxed);
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder is less than its divisor"
    )]
    fn held(&self, turn: u32) -> &AtomicU32 {
        &self.held[turn as usize % KEPT]
    }
}

/// Counts one more where nobody else does.
fn count(counter: &AtomicU32) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

/// One request and its response, from head to the last frame or the drop of either.
#[derive(Debug)]
pub(super) struct Exchange {
    activity: Arc<Activity>,
    /// Whether it goes on in a task of its own, beside others.
    has_siblings: bool,
    /// The turn in which it is counted; `None` while the service is waited for, which has an end of
    /// its own in the timeouts towards upstreams.
    held: Option<u32>,
}

impl Exchange {
    /// Begins over HTTP/2, where each of many is waited for. For the connection's task alone.
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        Self::new(activity, true)
    }

    /// Begins over HTTP/1, in whose one task all of it happens, and where a client that takes nothing
    /// of it takes nothing of the connection. `whole`: no body is to come; `handshake`: it asks for another protocol. For
    /// that task alone.
    pub(super) fn begin_alone(activity: &Arc<Activity>, whole: bool, handshake: bool) -> Self {
        activity.whole.store(whole, Relaxed);
        activity.handshake.store(handshake, Relaxed);
        Self::new(activity, false)
    }

    fn new(activity: &Arc<Activity>, has_siblings: bool) -> Self {
        count(&activity.started);
        Self {
            activity: Arc::clone(activity),
            has_siblings,
            held: None,
        }
    }

    /// The client has something to take, and took what came before.
    pub(super) fn wait_for_client(&mut self) {
        if !self.has_siblings {
            return;
        }
        let turn = self.activity.turn.load(Relaxed);
        if self.held != Some(turn) {
            self.wait_for_service();
            self.activity.held(turn).fetch_add(1, Relaxed);
            self.held = Some(turn);
        }
    }

    /// The client took all there is.
    pub(super) fn wait_for_service(&mut self) {
        if let Some(turn) = self.held.take() {
            self.activity.held(turn).fetch_sub(1, Relaxed);
        }
    }

    /// The connection goes on with this after HTTP.
    pub(super) fn goes_on(&self, afterwards: Afterwards) {
        // There is one `101` on a connection, and it is the last of its heads.
        drop(self.activity.afterwards.set(afterwards));
    }

    /// Whether the client should be told to leave.
    pub(super) fn is_draining(&self) -> bool {
        self.activity.drain.is_draining()
    }

    /// How its connection ends.
    pub(super) fn drain(&self) -> &Drain {
        &self.activity.drain
    }

    /// Whether what is left is dropped, and no client has left by itself.
    pub(super) fn is_cut(&self) -> bool {
        self.activity.drain.has_reached(Phase::Cut)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.wait_for_service();
        if self.has_siblings {
            self.activity.ended.fetch_add(1, Relaxed);
        } else {
            let reads = self.activity.reads();
            self.activity.read_before.store(reads, Relaxed);
            count(&self.activity.ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overdue_after(turns: u32, first: u32, change: impl FnOnce(&mut Exchange)) -> u32 {
        let activity = Arc::new(Activity::default());
        activity.begin_turn(first);
        let mut sibling = Exchange::begin(&activity);
        let mut exchange = Exchange::begin(&activity);
        exchange.wait_for_client();
        for turn in 1..=turns {
            assert_eq!(activity.seen().overdue, 0, "before turn {turn}");
            activity.begin_turn(first.wrapping_add(turn));
            sibling.wait_for_client();
        }
        change(&mut exchange);
        activity.seen().overdue
    }

    #[test]
    fn who_waits_is_overdue_after_so_many_turns_whatever_its_siblings_do() {
        for first in [0, 3, 7] {
            assert_eq!(overdue_after(TURNS - 1, first, |_| ()), 0);
            assert_eq!(overdue_after(TURNS, first, |_| ()), 1);
        }
    }

    #[test]
    fn who_took_something_is_not_overdue() {
        assert_eq!(overdue_after(TURNS, 0, Exchange::wait_for_client), 0);
        assert_eq!(overdue_after(TURNS, 0, Exchange::wait_for_service), 0);
    }

    #[test]
    fn who_is_alone_is_counted_as_begun_and_ended_and_in_no_turn() {
        let activity = Arc::new(Activity::default());
        let mut exchange = Exchange::begin_alone(&activity, true, false);
        exchange.wait_for_client();
        assert!(activity.held.iter().all(|held| held.load(Relaxed) == 0));
        assert_eq!(activity.seen().in_flight(), 1);
        drop(exchange);
        assert_eq!(activity.seen().in_flight(), 0);
    }

    #[test]
    fn who_left_is_counted_nowhere() {
        let activity = Arc::new(Activity::default());
        for turn in 0..3 {
            activity.begin_turn(turn);
            let mut exchange = Exchange::begin(&activity);
            exchange.wait_for_client();
            exchange.wait_for_client();
        }
        assert!(activity.held.iter().all(|held| held.load(Relaxed) == 0));
        assert_eq!(activity.seen().in_flight(), 0);
    }
}
