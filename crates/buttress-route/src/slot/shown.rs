//! What an endpoint shows picks, and how it gets there.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::clock::Instant;
use buttress_core::rng::Rng;
use prefetch_index::prefetch_index;

use super::{Inner, Slot};
use crate::evidence::{INDISTINCT, Score};
use crate::load::{NO_RELIEF, relief};
use crate::snapshot::EndpointState;
use crate::state::State;

/// What an idle endpoint shows a pick is at most this old; the end of a request shows it anew.
const REFRESH: Duration = Duration::from_millis(10);
/// The same of one with which nothing is the matter, where time changes what is shown by the fading of the evidence
/// alone: no longer than fades [`UNNOTICED`]. To look at it means to fetch all of it from memory.
const CALM: Duration = Duration::from_millis(100);
/// What a busy one shows is at most half as old, and sooner shown anew if anything but answers like those
/// before came to it, or if they have moved the mean by more than [`UNNOTICED`]. Less than an idle one's, for
/// the end of a request has less to bring up to date than a pick.
const BUSY: u32 = 2;
/// Far inside the noise band.
const UNNOTICED: f64 = 1.0 / 64.0;
/// Nothing coming back for so many times what answers take is no longer chance where several are out.
const SILENT: f64 = 4.0;
/// Whoever costs so many times what a usual endpoint does is dear. Differences of how busy endpoints are, in a pool that has
/// too much to do, are up to three times.
pub(crate) const DEAR: f64 = 4.0;

/// Whether an endpoint takes ordinary traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// Only as the last resort.
    Out,
    /// Never.
    Shut,
    /// A share of what would be its own, by chance: [`Slot::given`]. It is on its way back, or new, says that
    /// it is busier than its peers, or is a suspect.
    Rising,
}

const GATE_BITS: u32 = 2;

impl Slot {
    /// Has its first line fetched from memory, and waits for nothing.
    #[inline]
    pub(crate) fn fetch(&self) {
        prefetch_index(slice::from_ref(&self.gate), 0);
    }

    /// Its second one.
    #[inline]
    pub(crate) fn fetch_rest(&self) {
        prefetch_index(slice::from_ref(&self.shared), 0);
    }

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
        let score = self.score();
        let latency = larger(f64::from(score.latency), self.silence(now));
        let in_flight = f64::from(self.in_flight.load(Ordering::Relaxed));
        latency * (1.0 + in_flight * load_factor) + f64::from(score.penalty) * (1.0 + pool_load)
    }

    /// What is shown.
    #[inline]
    pub(crate) fn score(&self) -> Score {
        unpack(self.score.load(Ordering::Relaxed))
    }

    /// The share of its requests that it is given: 1 where it neither rises nor is relieved, and is no suspect.
    #[cold]
    pub(crate) fn given(&self) -> f64 {
        f32::from_bits(self.given.load(Ordering::Relaxed)).into()
    }

    /// Whether a key that belongs to it is served here: by chance, of a suspect.
    pub(crate) fn keeps_a_key(&self, rng: &Rng) -> bool {
        let share = |state: &mut State| state.as_suspect();
        self.gate() != Gate::Rising || self.is_blank() || rng.unit() < self.with_state(share)
    }

    /// The share that it counts for on its level, and until when at most, whatever it says of its load. Who has shown
    /// nothing was never out.
    pub(crate) fn ready(&self, now: Instant) -> (f64, Instant) {
        match self.gate() {
            Gate::Rising if !self.is_blank() => self.with_state(|state| state.ready(now)),
            _ => (1.0, Instant::NEVER),
        }
    }

    /// The time to an answer that is shown, in nanoseconds, or how long it has been silent if that is longer.
    #[inline]
    pub(crate) fn latency(&self, now: Instant) -> f64 {
        let score = self.score();
        larger(f64::from(score.latency) - INDISTINCT, self.silence(now))
    }

    /// For how long, in nanoseconds, requests have been sent and nothing has come back: an endpoint
    /// that hangs shows here long before a timeout, one that is merely busy does not.
    #[inline]
    pub(crate) fn silence(&self, now: Instant) -> f64 {
        self.silent_nanos(now).cast_signed() as f64
    }

    /// The same, for as long as a clock can go on.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.silent_nanos(now))
    }

    #[inline]
    fn silent_nanos(&self, now: Instant) -> u64 {
        let since = self.unanswered_since.load(Ordering::Relaxed);
        now.as_nanos().saturating_sub(since)
    }

    /// Whether nothing has come back for much longer than answers take.
    #[inline]
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        let score = self.score();
        self.silence(now) > SILENT * f64::from(score.latency)
    }

    /// Whether it took ordinary traffic when that was last looked at.
    #[inline]
    pub(crate) fn takes_traffic(&self) -> bool {
        matches!(self.gate(), Gate::Open | Gate::Rising)
    }

    /// Whether it takes traffic, or would but for a rule's word.
    pub(crate) fn may_have_its_turn(&self) -> bool {
        let is_out = self.gate() == Gate::Out;
        self.takes_traffic() || (is_out && self.with_state(|state| state.out_for().is_some()))
    }

    /// Whether it costs many times what its peers do, whatever it has in flight.
    pub(super) fn is_dear(&self, now: Instant) -> bool {
        let score = self.score();
        score.idle(self.silence(now)) >= DEAR * self.peers().usual()
    }

    /// Shows what is so now, if what is shown is old.
    #[inline]
    pub(crate) fn bring_up_to_date(self: &Arc<Self>, now: Instant) {
        if now.as_nanos() >= self.shown_until.load(Ordering::Relaxed) {
            self.refresh(now);
        }
    }

    /// The ticket of an ordinary call.
    #[inline]
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket::ordinary(self.gate.load(Ordering::Acquire) >> GATE_BITS)
    }

    /// Shows what the pool does, of which nothing is known of this endpoint; `false` where it has been silent for so long
    /// that this is something. A pick gives it no memory: the end of a request does.
    pub(super) fn show_blank(&self, now: Instant) -> bool {
        let score = Score::unknown(self.peers().latency());
        let is_so = self.silence(now) <= score.latency.into();
        if is_so {
            self.score.store(pack(score), Ordering::Relaxed);
            let until = now.saturating_add(REFRESH).as_nanos();
            self.shown_until.store(until, Ordering::Relaxed);
        }
        is_so
    }

    /// Shows what is so at `now`.
    pub(super) fn show(&self, inner: &mut Inner, now: Instant) {
        let state = &mut inner.state;
        if state.config.reported_load.is_some() || state.is_relieved() {
            self.relieve(state, now);
        }
        if state.is_suspect() || state.is_given_less() {
            state.weigh_suspicion(self.peers());
        }
        // Or was when that was last shown.
        if state.is_given_a_part() || self.gate() == Gate::Rising {
            self.show_rising(state, now);
        }
        let score = state.score(now, self.peers());
        let lasts = if state.is_calm(score, self.peers(), now) {
            CALM.min(state.config.decay.mul_f64(UNNOTICED)).max(REFRESH)
        } else {
            REFRESH
        };
        inner.shown = inner.state.steady_latency();
        inner.left_until = now.saturating_add(lasts / BUSY);
        self.score.store(pack(score), Ordering::Relaxed);
        (self.shown_until).store(now.saturating_add(lasts).as_nanos(), Ordering::Relaxed);
    }

    #[cold]
    fn show_rising(&self, state: &mut State, now: Instant) {
        state.rise_on(now);
        (self.given).store(share(state).to_bits(), Ordering::Relaxed);
        self.show_gate(state);
        // Whoever hears of it looks at once at what is shown.
        let (ready, _) = state.ready(now);
        if (std::mem::replace(&mut state.told_share, ready) - ready).abs() > 0.0 {
            self.shared.ledger.changed();
        }
    }

    /// Holds what the endpoint says of its load against what its peers say.
    #[cold]
    fn relieve(&self, state: &mut State, now: Instant) {
        let both = (self.reported(state, now)).zip(self.peers().utilization());
        state.relief = both.map_or(NO_RELIEF, |((own, _), peers)| relief(own, peers));
    }

    pub(super) fn show_gate(&self, state: &State) {
        let word = state.circuit.generation() << GATE_BITS | Gate::of(state) as u64;
        self.gate.store(word, Ordering::Release);
    }
}

impl Gate {
    pub(super) fn of(state: &State) -> Self {
        match state.endpoint_state() {
            EndpointState::Active if state.is_given_a_part() => Self::Rising,
            EndpointState::Active => Self::Open,
            EndpointState::Draining => Self::Shut,
            _ => Self::Out,
        }
    }
}

impl Inner {
    /// Whether a score of `now` would be about the one that is shown.
    #[inline]
    pub(super) fn is_as_shown(&self, now: Instant) -> bool {
        now < self.left_until
            && self.shown.is_some_and(|shown| {
                let steady = self.state.steady_latency();
                steady.is_some_and(|mean| (mean - shown).abs() <= shown * UNNOTICED)
            })
    }
}

/// Of two numbers, of which `f64::max` would ask whether they are any.
#[inline]
fn larger(one: f64, other: f64) -> f64 {
    if one < other { other } else { one }
}

#[expect(clippy::cast_possible_truncation, reason = "to seven digits")]
pub(super) fn share(state: &State) -> f32 {
    state.given() as f32
}

pub(super) fn pack(score: Score) -> u64 {
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
    use buttress_core::health::HealthSignal;
    use buttress_core::outcome::{FailureKind, Outcome};

    use super::*;
    use crate::config::Config;
    use crate::shared::Shared;
    use crate::slot::Blank;
    use crate::state::Call;

    #[test]
    fn a_score_survives_its_word() {
        let score = Score {
            latency: 1.5e7,
            penalty: 0.25,
        };
        assert_eq!(unpack(pack(score)), score);
    }

    const START: Instant = Instant::from_nanos(3_600_000_000_000);

    /// An endpoint after twenty calls that took as long.
    fn endpoint(latency: Duration) -> Arc<Slot> {
        let config = Config::default().rng(Rng::seeded(1));
        let shared = Arc::new(Shared::new(&config));
        let blank = Arc::new(Blank::new(Arc::new(config), &shared, false));
        let slot = Arc::new(Slot::new("a".into(), &shared, &blank));
        (0..20).for_each(|_| call(&slot, Outcome::Success, latency));
        slot
    }

    fn call(slot: &Arc<Slot>, outcome: Outcome, took: Duration) {
        slot.begin(START);
        ends(slot, outcome, took, START);
    }

    /// A call that had begun has ended.
    fn ends(slot: &Arc<Slot>, outcome: Outcome, took: Duration, now: Instant) {
        let ticket = &slot.ticket();
        let call = Call {
            ticket,
            outcome,
            latency: Some(took),
            took,
            stalled: None,
            called: true,
            limited: false,
            copy: false,
            in_place_of_copy: false,
            retry_after: None,
        };
        slot.settle(&call, now);
    }

    /// What is shown after the first answer of `sent` requests, which came when they had been out for so long.
    fn after_silence(sent: u32, silence: Duration) -> f64 {
        let slot = endpoint(Duration::from_millis(10));
        (0..sent).for_each(|_| slot.begin(START));
        let now = START.saturating_add(silence);
        if slot.heard(now) {
            slot.others_are_as_late(silence, now);
        }
        ends(&slot, Outcome::Success, silence, now);
        slot.latency(now) / 1e6
    }

    #[test]
    fn who_answers_late_while_others_are_out_is_slow_and_nobody_waits_for_those() {
        let late = Duration::from_millis(100);
        assert!(after_silence(3, late) > 70.0);
        assert!(after_silence(2, late) < 20.0, "one may be chance");
        assert!(after_silence(3, Duration::from_millis(30)) < 15.0, "busy");
    }

    /// For how long it is left at what it shows.
    fn lasts(slot: &Arc<Slot>) -> Duration {
        slot.refresh(START);
        let until = slot.shown_until.load(Ordering::Relaxed);
        Instant::from_nanos(until).saturating_since(START)
    }

    #[test]
    fn who_goes_on_as_before_is_looked_at_less_often_than_whoever_does_not() {
        let usual = Duration::from_millis(10);
        assert_eq!(lasts(&endpoint(usual)), CALM);

        let slow = endpoint(usual * 10);
        assert_eq!(lasts(&slow), REFRESH, "copies look at it");
        let failing = endpoint(usual);
        call(&failing, Outcome::Failure(FailureKind::Answer), usual);
        assert_eq!(lasts(&failing), REFRESH);
        let spoken_of = endpoint(usual);
        spoken_of.with_state(|state| state.signals.push(HealthSignal::new()));
        assert_eq!(lasts(&spoken_of), REFRESH);
        let rising = endpoint(usual);
        rising.with_state(|state| state.rise(START));
        assert_eq!(lasts(&rising), REFRESH);
    }
}
