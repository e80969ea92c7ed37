//! One endpoint of a pool, without its service: what a pick reads in atomics, the rest behind a lock
//! that is held for arithmetic alone.

mod blank;
mod change;
mod shown;

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::clock::{Clock, Instant};
use buttress_core::health::HealthSignal;
use buttress_core::rng::Rng;
use http::HeaderMap;

use crate::attempted;
use crate::evidence::left_after;
use crate::ledger::Ledger;
use crate::levels::Rank;
use crate::load::Heard;
use crate::peers::{Peers, Shows};
use crate::shared::Shared;
use crate::snapshot::EndpointState;
use crate::state::{Call, CheckEnded, Checker, State};
use crate::sync::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Mutex, MutexGuard};
use shown::pack;

pub(crate) use blank::Blank;
pub(crate) use shown::{DEAR, Gate};

/// Nothing is unanswered: later than any moment, so that it is no silence.
const NONE: u64 = u64::MAX;

/// So many others that are out when an answer ends a silence were mostly sent with it, before picks kept away: three late
/// answers in a row are no chance, and so are three of which one has come. Streams that go on are among them, and beside these
/// one late answer is believed as a run is: until the next that is not, or for a second. What it adds to the mean stays longer.
const OTHERS: u32 = 2;

/// What a pick reads, together with the count of the [`Arc`] around it: who picks from a large pool waits for memory,
/// and mostly for the first line of each endpoint. What a pick does not read is elsewhere. Made one after the other
/// ([`Slot::new`]), slots lie side by side, on few pages, each on two cache lines: 120 bytes with its counts, and what
/// an allocator adds.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot {
    /// The circuit's generation above the bits of [`Gate`].
    gate: AtomicU64,
    /// [`Score`]: latency in the upper half, penalty in the lower.
    score: AtomicU64,
    /// When the first request was sent that nothing has been heard since; [`NONE`] if there is none.
    unanswered_since: AtomicU64,
    in_flight: AtomicU32,
    /// How heavily one of these weighs, as the bits of an `f32`: the mean weight on its level over this one's.
    load_factor: AtomicU32,
    /// From when on what is shown has to be shown anew, in nanoseconds.
    shown_until: AtomicU64,
    /// By which a request remembers that it has been here.
    pub(crate) number: u32,
    /// The share of its requests that it is given while it rises, is relieved or a suspect, as the bits of an `f32`.
    given: AtomicU32,
    member: AtomicBool,
    /// It is shunned, or was told to be.
    followed: AtomicBool,
    /// The bits of its [`Rank`].
    rank: AtomicU16,
    id: Arc<str>,
    shared: Arc<Shared>,
    blank: Arc<Blank>,
    /// What came of it since; nothing before somebody asks.
    life: OnceLock<Box<Life>>,
}

/// As it is written, as [`State`] is.
#[derive(Debug)]
#[repr(C)]
struct Life {
    inner: Mutex<Inner>,
    /// What it says of its load.
    heard: Heard,
}

/// As it is written, as [`State`] is.
#[derive(Debug)]
#[repr(C)]
struct Inner {
    /// What the shown score stands on, as long as that alone matters to it, and until when the end of a request
    /// leaves it at that.
    shown: Option<f64>,
    left_until: Instant,
    state: State,
    /// Decayed picks, and how many picks they account for.
    recent: f64,
    counted: u64,
    counted_at: Instant,
}

impl Slot {
    /// To be put into its [`Arc`] together with the others that are made at that time.
    pub(crate) fn new(id: Arc<str>, shared: &Arc<Shared>, blank: &Arc<Blank>) -> Self {
        Self {
            gate: AtomicU64::new(blank.gate as u64),
            score: AtomicU64::new(pack(blank.score)),
            shown_until: AtomicU64::new(0),
            unanswered_since: AtomicU64::new(NONE),
            in_flight: AtomicU32::new(0),
            load_factor: AtomicU32::new(1_f32.to_bits()),
            number: attempted::number(),
            given: AtomicU32::new(blank.given.to_bits()),
            member: AtomicBool::new(true),
            followed: AtomicBool::new(false),
            rank: AtomicU16::new(0),
            id,
            shared: Arc::clone(shared),
            blank: Arc::clone(blank),
            life: OnceLock::new(),
        }
    }

    /// Whether nothing has come of it yet.
    pub(crate) fn is_blank(&self) -> bool {
        self.life.get().is_none()
    }

    /// The identity.
    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    // The life of a call.

    /// A request is on its way.
    pub(crate) fn begin(&self, now: Instant) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        if self.unanswered_since.load(Ordering::Relaxed) == NONE {
            // Whoever else has just begun will do as well.
            self.unanswered_since
                .store(now.as_nanos().min(NONE - 1), Ordering::Relaxed);
        }
    }

    /// Something came back, of a request that is in flight still: whether that ends a silence of several times what answers
    /// take, in which so many others are out that these are as late.
    pub(crate) fn heard(&self, now: Instant) -> bool {
        if self.unanswered_since.load(Ordering::Relaxed) == NONE {
            return false;
        }
        let was_silent = self.is_silent(now) && self.in_flight() > OTHERS;
        self.unanswered_since.store(NONE, Ordering::Relaxed);
        was_silent
    }

    /// Whether it is looked at what the endpoint says of its load.
    #[inline]
    pub(crate) fn heeds_reports(&self) -> bool {
        self.shared.heeds_reports.load(Ordering::Relaxed)
    }

    /// A good answer that ended a silence ([`Slot::heard`]) took so long, and so will those that were sent with it. Nobody
    /// has to wait for these, nor for the end of this one.
    #[cold]
    pub(crate) fn others_are_as_late(&self, latency: Duration, now: Instant) {
        let mut inner = self.lock();
        inner.state.evidence.others_are_as_late(latency, now);
        self.show(&mut inner, now);
    }

    /// The endpoint may say something of its load.
    #[cold]
    pub(crate) fn hear_report(&self, headers: &HeaderMap, now: Instant) {
        self.life().heard.hear(headers, now);
    }

    /// A call has ended.
    pub(crate) fn settle(self: &Arc<Self>, call: &Call<'_>, now: Instant) {
        let mut inner = self.lock();
        // Together with the tally, or a reader would see a pick undone.
        let before = self.in_flight.fetch_sub(1, Ordering::Relaxed);
        // An answer, or a wait that the evidence now holds. A copy that was given up says nothing of others.
        if !call.was_given_up_copy() || before <= 1 {
            self.heard(now);
        }
        if !inner.state.settle_quietly(call, &self.shared.peers, now) {
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

    /// Something else is said of the endpoint: the next pick brings it up to date.
    pub(crate) fn show_anew(&self) {
        self.shown_until.store(0, Ordering::Relaxed);
    }

    // What readers read.

    pub(crate) fn with_state<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.lock().state)
    }

    /// The outside words on its health.
    pub(crate) fn signals(&self) -> Vec<HealthSignal> {
        if self.is_blank() {
            return Vec::new();
        }
        self.with_state(|state| state.signals.clone())
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

    /// How heavily a request in flight weighs.
    #[inline]
    pub(crate) fn load_factor(&self) -> f64 {
        f32::from_bits(self.load_factor.load(Ordering::Relaxed)).into()
    }

    /// To be told by whoever makes a list of it. Who picks from an earlier one until that is in force goes by it as well.
    pub(crate) fn set_load_factor(&self, factor: f32) {
        self.load_factor.store(factor.to_bits(), Ordering::Relaxed);
    }

    /// The level that it is on.
    pub(crate) fn rank(&self) -> Rank {
        Rank::from_bits(self.rank.load(Ordering::Relaxed))
    }

    /// To be told the ledger by whoever has said it of all ([`Ledger::resize`]).
    pub(crate) fn set_rank(&self, rank: Rank) {
        self.rank.store(rank.to_bits(), Ordering::Relaxed);
    }

    /// Whether the next look has to follow what the last one saw.
    #[inline]
    pub(crate) fn is_followed(&self) -> bool {
        self.followed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_member(&self) -> bool {
        self.member.load(Ordering::Acquire)
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    pub(crate) fn rng(&self) -> &Rng {
        &self.shared.rng
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub(crate) fn peers(&self) -> &Peers {
        &self.shared.peers
    }

    /// What this endpoint adds to what the pool shows.
    pub(crate) fn shows(&self, now: Instant) -> Shows {
        let load = f64::from(self.in_flight());
        if self.is_blank() {
            return Shows {
                load,
                ..Shows::default()
            };
        }
        self.with_state(|state| {
            let shows = state.shows(now);
            Shows {
                load,
                utilization: self.reported(state, now).map(|it| it.0),
                is_ill: shows.is_ill || (self.takes_traffic() && self.is_dear(now)),
                ..shows
            }
        })
    }

    /// The utilisation that the endpoint has reported, and how long ago, if that is heeded and not expired.
    pub(crate) fn reported(&self, state: &State, now: Instant) -> Option<(f64, Duration)> {
        let expiry = state.config.reported_load?;
        self.life().heard.fresh(now, expiry)
    }

    /// How many reports of its load were not believed.
    pub(crate) fn reports_ignored(&self) -> u64 {
        self.life.get().map_or(0, |life| life.heard.ignored())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let inner = self.life().inner.lock();
        inner.unwrap_or_else(PoisonError::into_inner)
    }

    fn life(&self) -> &Life {
        let begin = || {
            Box::new(Life {
                heard: Heard::nothing(),
                inner: Mutex::new(Inner::of(&self.blank)),
            })
        };
        self.life.get_or_init(begin)
    }
}

impl Inner {
    fn of(blank: &Blank) -> Self {
        Self {
            state: blank.state(),
            shown: None,
            left_until: blank.since,
            recent: 0.0,
            counted: 0,
            counted_at: blank.since,
        }
    }

    fn count_picks(&mut self, in_flight: u32, now: Instant) {
        let picks = self.state.picks(in_flight);
        let passed = now.saturating_since(self.counted_at);
        self.recent *= left_after(passed, self.state.config.decay.as_secs_f64());
        self.recent += picks.saturating_sub(self.counted) as f64;
        (self.counted, self.counted_at) = (picks, now);
    }
}
