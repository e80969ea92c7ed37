//! One endpoint of a pool, without its service: what a pick reads in atomics, the rest behind a lock
//! that is held for arithmetic alone.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::clock::{Clock, Instant};
use buttress_core::rng::Rng;
use buttress_core::verdict::{Action, Verdict};
use http::HeaderMap;

use crate::attempted;
use crate::config::Config;
use crate::evidence::{INDISTINCT, Score, left_after};
use crate::ledger::Ledger;
use crate::load::{Heard, NO_RELIEF, relief};
use crate::peers::{Peers, Shows};
use crate::shared::Shared;
use crate::snapshot::{Change, EndpointState, Event};
use crate::state::{Call, CheckEnded, Checker, Decision, State};

/// What an idle endpoint shows a pick is at most so many nanoseconds old; the end of a request shows it anew.
const REFRESH: u64 = 10_000_000;
/// What a busy one shows is at most this old, and sooner shown anew if anything but answers like those
/// before came to it, or if they have moved the mean by more than [`UNNOTICED`]. Less than [`REFRESH`], for
/// the end of a request has less to bring up to date than a pick.
const SHOWN_FOR: Duration = Duration::from_millis(5);
/// Far inside the noise band.
const UNNOTICED: f64 = 1.0 / 64.0;

/// What a pick reads, together with the count of the [`Arc`] around it: who picks from a large pool waits for memory,
/// and mostly for the first line of each endpoint. What a pick does not read is elsewhere. Made one after the other
/// ([`Slot::new`]), slots lie side by side, on few pages.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot {
    /// The circuit's generation above [`GATE_BITS`] bits of [`Gate`].
    gate: AtomicU64,
    /// [`Score`]: latency in the upper half, penalty in the lower.
    score: AtomicU64,
    scored_at: AtomicU64,
    /// When the first request was sent that nothing has been heard since; 0 if there is none.
    unanswered_since: AtomicU64,
    in_flight: AtomicU32,
    /// By which a request remembers that it has been here.
    pub(crate) number: u32,
    rest: Box<Rest>,
    /// A cache line wide, so that no two endpoints share one.
    _apart: [u64; 8],
}

#[derive(Debug)]
struct Rest {
    id: Arc<str>,
    shared: Arc<Shared>,
    member: AtomicBool,
    /// The share of its requests that it is given while it rises or is relieved, as the bits of an `f32`.
    given: AtomicU32,
    /// What it says of its load.
    heard: Heard,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// What the shown score stands on, as long as that alone matters to it, and until when.
    shown: Option<f64>,
    shown_until: Instant,
    /// Decayed picks, and how many picks they account for.
    recent: f64,
    counted: u64,
    counted_at: Instant,
}

/// Whether an endpoint takes ordinary traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// Only as the last resort.
    Out,
    /// Never.
    Shut,
    /// A share of what would be its own, by chance: [`Slot::given`]. It is on its way back, or new, or says that
    /// it is busier than its peers.
    Rising,
}

const GATE_BITS: u32 = 2;

impl Slot {
    /// To be put into its [`Arc`] together with the others that are made at that time. `rises`: it is new among
    /// others.
    pub(crate) fn new(
        id: Arc<str>,
        shared: &Arc<Shared>,
        config: &Arc<Config>,
        rises: bool,
    ) -> Self {
        let now = shared.clock.now();
        let mut state = State::new(Arc::clone(config), now);
        if rises {
            state.rise(now);
        }
        let gate = Gate::of(&state);
        let given = share(&state);
        let score = state.score(now, &shared.peers);
        let inner = Inner {
            state,
            shown: None,
            shown_until: now,
            recent: 0.0,
            counted: 0,
            counted_at: now,
        };
        Self {
            gate: AtomicU64::new(gate as u64),
            score: AtomicU64::new(pack(score)),
            scored_at: AtomicU64::new(0),
            unanswered_since: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            number: attempted::number(),
            rest: Box::new(Rest {
                id,
                shared: Arc::clone(shared),
                member: AtomicBool::new(true),
                given: AtomicU32::new(given.to_bits()),
                heard: Heard::nothing(),
                inner: Mutex::new(inner),
            }),
            _apart: [0; 8],
        }
    }

    /// The identity.
    pub(crate) fn id(&self) -> &Arc<str> {
        &self.rest.id
    }

    // What a pick reads.

    #[inline]
    pub(crate) fn gate(&self) -> Gate {
        match self.gate.load(Ordering::Acquire) & ((1 << GATE_BITS) - 1) {
            0 => Gate::Open,
            1 => Gate::Out,
            2 => Gate::Shut,
            _ => Gate::Rising,
        }
    }

    /// What a request costs here and now; `load_factor` is how heavily one in flight weighs, and
    /// `pool_load` how many are in flight at an endpoint of this pool.
    ///
    /// A failure wastes an answer from somebody as busy as they all are. Were it weighed by the load
    /// of this endpoint, one that fails would look cheap for being idle.
    #[inline]
    pub(crate) fn cost(&self, now: Instant, load_factor: f64, pool_load: f64) -> f64 {
        let score = unpack(self.score.load(Ordering::Relaxed));
        let latency = larger(f64::from(score.latency), self.silence(now));
        let in_flight = f64::from(self.in_flight.load(Ordering::Relaxed));
        latency * (1.0 + in_flight * load_factor) + f64::from(score.penalty) * (1.0 + pool_load)
    }

    /// The share of its requests that it is given: 1 where it neither rises nor is relieved.
    #[cold]
    pub(crate) fn given(&self) -> f64 {
        f32::from_bits(self.rest.given.load(Ordering::Relaxed)).into()
    }

    /// The time to an answer that is shown, in nanoseconds, or how long it has been silent if that is longer.
    #[inline]
    pub(crate) fn latency(&self, now: Instant) -> f64 {
        let score = unpack(self.score.load(Ordering::Relaxed));
        larger(f64::from(score.latency) - INDISTINCT, self.silence(now))
    }

    /// For how long, in nanoseconds, requests have been sent and nothing has come back: an endpoint
    /// that hangs shows here long before a timeout, one that is merely busy does not.
    #[inline]
    pub(crate) fn silence(&self, now: Instant) -> f64 {
        match self.unanswered_since.load(Ordering::Relaxed) {
            0 => 0.0,
            since => now.as_nanos().saturating_sub(since).cast_signed() as f64,
        }
    }

    /// Shows what is so now, if what is shown is old.
    #[inline]
    pub(crate) fn bring_up_to_date(self: &Arc<Self>, now: Instant) {
        let scored_at = self.scored_at.load(Ordering::Relaxed);
        if now.as_nanos().saturating_sub(scored_at) >= REFRESH {
            self.refresh(now);
        }
    }

    /// The ticket of an ordinary call.
    #[inline]
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket::ordinary(self.gate.load(Ordering::Acquire) >> GATE_BITS)
    }

    // The life of a call.

    /// A request is on its way.
    pub(crate) fn begin(&self, now: Instant) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        if self.unanswered_since.load(Ordering::Relaxed) == 0 {
            // Whoever else has just begun will do as well.
            self.unanswered_since
                .store(now.as_nanos().max(1), Ordering::Relaxed);
        }
    }

    /// Something came back.
    pub(crate) fn heard(&self) {
        if self.unanswered_since.load(Ordering::Relaxed) != 0 {
            self.unanswered_since.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it is looked at what the endpoint says of its load.
    #[inline]
    pub(crate) fn heeds_reports(&self) -> bool {
        self.rest.shared.heeds_reports.load(Ordering::Relaxed)
    }

    /// The endpoint may say something of its load.
    #[cold]
    pub(crate) fn hear_report(&self, headers: &HeaderMap, now: Instant) {
        self.rest.heard.hear(headers, now);
    }

    /// A call has ended.
    pub(crate) fn settle(self: &Arc<Self>, call: &Call<'_>, now: Instant) {
        let mut inner = self.lock();
        // Together with the tally, or a reader would see a pick undone.
        let before = self.in_flight.fetch_sub(1, Ordering::Relaxed);
        // An answer, or a wait that the evidence now holds. A copy that was given up says nothing of others.
        if !call.was_given_up_copy() || before <= 1 {
            self.heard();
        }
        if !inner.state.settle_quietly(call, now) {
            self.change_locked(inner, now, |state| state.settle(call, self, now));
        } else if !inner.is_as_shown(now) {
            self.show(&mut inner, now);
        }
    }

    /// The answer to a probe has begun, and well.
    #[cold]
    pub(crate) fn probe_answered(self: &Arc<Self>, probe: &Ticket, now: Instant) {
        self.with_state(|state| state.circuit.answered(probe, now));
    }

    /// Leases a probe of an endpoint that is out.
    pub(crate) fn probe(self: &Arc<Self>, now: Instant) -> Option<Ticket> {
        let mut ticket = None;
        self.change(now, |state| {
            let (leased, decision) = state.probe(self, now);
            ticket = leased;
            decision
        });
        ticket
    }

    /// A copy goes and looks at an endpoint that is in and shunned; for how long it may.
    pub(crate) fn look_again(&self, now: Instant) -> Option<(Ticket, Duration)> {
        self.with_state(|state| state.look_again(now, self.silence(now), self.peers()))
    }

    // The life of an active check.

    /// A check begins; the lease of a probe if the endpoint is due one.
    pub(crate) fn check_begins(self: &Arc<Self>, by: &Checker, now: Instant) -> Option<Ticket> {
        let mut probe = None;
        self.change(now, |state| {
            let (leased, decision) = state.check_begins(by, self, now);
            probe = leased;
            decision
        });
        probe
    }

    /// A check has ended.
    pub(crate) fn check_ended(self: &Arc<Self>, by: &Checker, ended: &CheckEnded, now: Instant) {
        self.change(now, |state| state.check_ended(by, ended, self, now));
    }

    /// Nobody checks the endpoint any more.
    pub(crate) fn checks_over(self: &Arc<Self>, by: &Checker, now: Instant) {
        self.change(now, |state| state.checks_over(by, self, now));
    }

    /// Whether the pool has doubts about the endpoint.
    pub(crate) fn is_doubted(&self) -> bool {
        self.with_state(|state| {
            state.is_suspect() || state.endpoint_state() != EndpointState::Active
        })
    }

    /// Brings up to date what a pick reads, unless somebody else is at it.
    #[cold]
    fn refresh(self: &Arc<Self>, now: Instant) {
        let mut inner = match self.rest.inner.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        inner.count_picks(self.in_flight(), now);
        self.give_up_listening(&mut inner.state, now);
        let before = inner.state.endpoint_state();
        let decision = inner.state.heed_signals(self, now);
        let event = self.conclude(&mut inner, before, decision, now);
        let look = (inner.state).second_look_due(now, self.silence(now), self.peers());
        if let Some(due) = look {
            self.rest.shared.second_looks.ask(self, due);
        }
        drop(inner);
        self.publish(event);
    }

    /// A silence counts for as long as a probe's lease and no longer, or a request that never ends
    /// would keep the endpoint from traffic for ever.
    fn give_up_listening(&self, state: &mut State, now: Instant) {
        let silence = Duration::from_secs_f64(self.silence(now) / 1e9);
        if silence > state.config.circuit.probe_deadline {
            state.evidence.waited(silence, now, self.peers().latency());
            self.heard();
        }
    }

    /// Changes the state, tells picks and the ledger, and then the world.
    pub(crate) fn change(
        self: &Arc<Self>,
        now: Instant,
        change: impl FnOnce(&mut State) -> Option<Decision>,
    ) {
        self.change_locked(self.lock(), now, change);
    }

    fn change_locked(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        now: Instant,
        change: impl FnOnce(&mut State) -> Option<Decision>,
    ) {
        let before = inner.state.endpoint_state();
        let decision = change(&mut inner.state);
        let event = self.conclude(&mut inner, before, decision, now);
        drop(inner);
        self.publish(event);
    }

    fn conclude(
        self: &Arc<Self>,
        inner: &mut Inner,
        before: EndpointState,
        decision: Option<Decision>,
        now: Instant,
    ) -> Option<Event> {
        self.show(inner, now);
        let state = &mut inner.state;
        let after = state.endpoint_state();
        let changed = before != after;
        if changed || after != EndpointState::Active {
            self.enter(state, after, now);
        }
        if changed {
            state.since = now;
        }
        let Decision(verdict) = decision?;
        let change = match &verdict.action {
            _ if changed => Change::Transition {
                from: before,
                to: after,
            },
            Action::Suppressed(_) => Change::Suppressed,
            // What is behind a state that outranks it, such as draining, is no news.
            _ => return None,
        };
        state.verdicts.push(now, change, verdict.clone());
        Some(self.event(change, verdict, now))
    }

    fn event(&self, change: Change, verdict: Verdict, now: Instant) -> Event {
        Event {
            pool: Arc::clone(&self.rest.shared.pool),
            endpoint: Arc::clone(self.id()),
            at: now,
            change,
            verdict,
        }
    }

    fn publish(&self, event: Option<Event>) {
        if let Some(event) = event {
            self.rest.shared.events.publish(|| event);
        }
    }

    fn show(&self, inner: &mut Inner, now: Instant) {
        let state = &mut inner.state;
        if state.config.reported_load.is_some() || state.is_relieved() {
            self.relieve(state, now);
        }
        // Or was when that was last shown.
        if state.is_rising() || state.is_relieved() || self.gate() == Gate::Rising {
            self.show_rising(state, now);
        }
        inner.shown = inner.state.steady_latency();
        inner.shown_until = now.saturating_add(SHOWN_FOR);
        let score = inner.state.score(now, self.peers());
        self.score.store(pack(score), Ordering::Relaxed);
        self.scored_at.store(now.as_nanos(), Ordering::Relaxed);
    }

    #[cold]
    fn show_rising(&self, state: &mut State, now: Instant) {
        state.rise_on(now);
        (self.rest.given).store(share(state).to_bits(), Ordering::Relaxed);
        self.show_gate(state);
    }

    /// Holds what the endpoint says of its load against what its peers say.
    #[cold]
    fn relieve(&self, state: &mut State, now: Instant) {
        let both = (self.reported(state, now)).zip(self.peers().utilization());
        state.relief = both.map_or(NO_RELIEF, |((own, _), peers)| relief(own, peers));
    }

    fn show_gate(&self, state: &State) {
        let word = state.circuit.generation() << GATE_BITS | Gate::of(state) as u64;
        self.gate.store(word, Ordering::Release);
    }

    fn enter(self: &Arc<Self>, state: &State, endpoint: EndpointState, now: Instant) {
        self.show_gate(state);
        let by_hand = matches!(endpoint, EndpointState::ForcedOut | EndpointState::Draining);
        match state.due(now) {
            Some(due) => self.rest.shared.ledger.set(self, due, by_hand),
            None => self.rest.shared.ledger.remove(self),
        }
    }

    /// The pool has let go of the endpoint; calls in flight still settle here.
    pub(crate) fn leave(self: &Arc<Self>) {
        self.rest.member.store(false, Ordering::Release);
        self.rest.shared.ledger.remove(self);
    }

    /// The pool has the endpoint again, and goes on from what it knew of it.
    pub(crate) fn rejoin(self: &Arc<Self>, config: &Arc<Config>, now: Instant) {
        self.rest.member.store(true, Ordering::Release);
        self.change(now, |state| {
            state.reconfigure(config);
            state.rise(now);
            None
        });
    }

    // What readers read.

    pub(crate) fn with_state<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.lock().state)
    }

    /// The decayed number of picks.
    pub(crate) fn recent_picks(&self, now: Instant) -> f64 {
        let mut inner = self.lock();
        inner.count_picks(self.in_flight(), now);
        inner.recent
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn is_member(&self) -> bool {
        self.rest.member.load(Ordering::Acquire)
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.rest.shared.ledger
    }

    pub(crate) fn rng(&self) -> &Rng {
        &self.rest.shared.rng
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.rest.shared.clock
    }

    pub(crate) fn peers(&self) -> &Peers {
        &self.rest.shared.peers
    }

    /// What this endpoint adds to what the pool shows.
    pub(crate) fn shows(&self, now: Instant) -> Shows {
        let load = f64::from(self.in_flight());
        self.with_state(|state| Shows {
            load,
            utilization: self.reported(state, now).map(|it| it.0),
            ..state.shows(now)
        })
    }

    /// The utilisation that the endpoint has reported, and how long ago, if that is heeded and not expired.
    pub(crate) fn reported(&self, state: &State, now: Instant) -> Option<(f64, Duration)> {
        let expiry = state.config.reported_load?;
        self.rest.heard.fresh(now, expiry)
    }

    /// How many reports of its load were not believed.
    pub(crate) fn reports_ignored(&self) -> u64 {
        self.rest.heard.ignored()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.rest
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    fn of(state: &State) -> Self {
        match state.endpoint_state() {
            EndpointState::Active if state.is_rising() || state.is_relieved() => Self::Rising,
            EndpointState::Active => Self::Open,
            EndpointState::Draining => Self::Shut,
            _ => Self::Out,
        }
    }
}

impl Inner {
    /// Whether a score of `now` would be about the one that is shown.
    #[inline]
    fn is_as_shown(&self, now: Instant) -> bool {
        now < self.shown_until
            && self.shown.is_some_and(|shown| {
                let steady = self.state.steady_latency();
                steady.is_some_and(|mean| (mean - shown).abs() <= shown * UNNOTICED)
            })
    }

    fn count_picks(&mut self, in_flight: u32, now: Instant) {
        let picks = self.state.picks(in_flight);
        let passed = now.saturating_since(self.counted_at);
        self.recent *= left_after(passed, self.state.config.decay.as_secs_f64());
        self.recent += picks.saturating_sub(self.counted) as f64;
        (self.counted, self.counted_at) = (picks, now);
    }
}

/// Of two numbers, of which `f64::max` would ask whether they are any.
#[inline]
fn larger(one: f64, other: f64) -> f64 {
    if one < other { other } else { one }
}

#[expect(clippy::cast_possible_truncation, reason = "to seven digits")]
fn share(state: &State) -> f32 {
    state.given() as f32
}

fn pack(score: Score) -> u64 {
    u64::from(score.latency.to_bits()) << 32 | u64::from(score.penalty.to_bits())
}

#[expect(clippy::cast_possible_truncation, reason = "each half is a word")]
fn unpack(word: u64) -> Score {
    Score {
        latency: f32::from_bits((word >> 32) as u32),
        penalty: f32::from_bits(word as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_survives_its_word() {
        let score = Score {
            latency: 1.5e7,
            penalty: 0.25,
        };
        assert_eq!(unpack(pack(score)), score);
    }
}
