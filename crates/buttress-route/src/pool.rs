//! The pool: its list of endpoints, what they share, and how a request gets one of them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use buttress_core::circuit::Ticket;
use buttress_core::clock::Instant;
use buttress_core::config::ConfigError;
use buttress_core::decision::Picked;
use buttress_core::health::HealthSignal;

use crate::affinity::Affinity;
use crate::attempted::Attempted;
use crate::background::Post;
use crate::budget::Budget;
use crate::config::Config;
use crate::departed::Departed;
use crate::endpoint::Endpoint;
use crate::known::Known;
use crate::levels;
use crate::members::Members;
use crate::permit::Permit;
use crate::seat::{Seat, Told};
use crate::shared::Shared;
use crate::slot::{Blank, Slot};
use crate::state::{ASK_AGAIN, lasts};
use crate::sync::Mutex;

/// A copy that probes is waited for as long, or longer where all are slow: nobody waits for its answer, and while it
/// hangs there is no other.
const PROBE_LASTS: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Pool<S> {
    members: ArcSwap<Members<S>>,
    /// Held while the list is being replaced; picks do not take it.
    updating: Mutex<Departed>,
    pub(crate) shared: Arc<Shared>,
    /// Where the endpoints come from, if they are not given by hand.
    pub(crate) discovered: Arc<Post>,
    /// Who checks the endpoints.
    pub(crate) checked: Arc<Post>,
}

/// An endpoint that a request goes to.
#[derive(Debug)]
pub(crate) struct Pick<S> {
    pub(crate) permit: Permit,
    pub(crate) number: u32,
    pub(crate) service: S,
    pub(crate) ready_deadline: Duration,
    /// On the heap, for every layer outside moves the future about; it goes there in the end anyway.
    pub(crate) picked: Option<Box<Picked>>,
}

/// Where a request goes, by what right, and the clone that it is sent to.
type Chosen<'a, S> = (&'a Seat, Ticket, S);

impl<S> Pool<S> {
    pub(crate) fn new(config: Config, endpoints: Vec<Endpoint<S>>) -> Result<Self, ConfigError> {
        config.validate()?;
        let shared = Arc::new(Shared::new(&config));
        let empty = Members::new(Arc::new(config), Vec::new());
        let pool = Self {
            members: ArcSwap::from_pointee(empty),
            updating: Mutex::default(),
            shared,
            discovered: Arc::default(),
            checked: Arc::default(),
        };
        pool.update(endpoints)?;
        Ok(pool)
    }

    pub(crate) fn members(&self) -> Arc<Members<S>> {
        self.members.load_full()
    }

    /// Replaces the endpoints. Those whose identity stays keep their slot, and all that is in it; those
    /// that come back get theirs again.
    pub(crate) fn update(&self, endpoints: Vec<Endpoint<S>>) -> Result<(), ConfigError> {
        let hashes: Vec<u64> = endpoints
            .iter()
            .map(|it| Affinity::hash(it.id.as_bytes()))
            .collect();
        refuse_twins(&endpoints, &hashes)?;
        let mut departed = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.shared.clock.now();
        let old = self.members();
        let config = Arc::clone(&old.config);
        departed.forget(now, config.remember, old.len());
        let mut known = Known::of(&old);
        let blank = Blank::new(Arc::clone(&config), &self.shared, old.len() > 0);
        let blank = Arc::new(blank);
        let slot = |(endpoint, &hash): (&Endpoint<S>, &u64)| {
            let kept = known.take(hash, &endpoint.id);
            let kept = kept.or_else(|| departed.take(hash, &endpoint.id));
            let id = || Arc::clone(&endpoint.id);
            // Nothing else is allocated in between, so that they come to lie together.
            kept.unwrap_or_else(|| Arc::new(Slot::new(id(), &self.shared, &blank)))
        };
        let slots: Vec<_> = endpoints.iter().zip(&hashes).map(slot).collect();
        let list = endpoints.into_iter().zip(hashes).zip(slots);
        let list: Vec<_> = list
            .map(|((endpoint, hash), slot)| self.member(endpoint, hash, slot, &config))
            .collect();
        let ranks = list.iter().map(|(seat, ..)| seat.slot.rank());
        self.shared
            .ledger
            .resize(Budget::new(ranks, config.max_ejected));
        for (hash, slot) in known.rest() {
            slot.leave();
            departed.keep(hash, Arc::clone(slot), now);
        }
        for (seat, ..) in list.iter().filter(|it| !it.0.slot.is_member()) {
            seat.slot.rejoin(&config, now);
        }
        departed.forget(now, config.remember, list.len());
        self.members.store(Arc::new(Members::new(config, list)));
        self.keep_to_budget();
        drop(departed);
        // Services that went are dropped here, by code that may be anybody's, outside the lock.
        drop(old);
        Ok(())
    }

    fn member(
        &self,
        endpoint: Endpoint<S>,
        hash: u64,
        slot: Arc<Slot>,
        config: &Config,
    ) -> (Seat, Told, S) {
        let Endpoint {
            id: _,
            service,
            weight,
            about,
            signals,
        } = endpoint;
        self.tell(&slot, weight, signals);
        let seat = Seat {
            slot,
            load_factor: 1.0,
            place: 0,
        };
        let told = Told {
            weight,
            hash,
            about,
        };
        seat.slot.set_rank(levels::rank(config, &told));
        (seat, told, service)
    }

    /// What the list says of the endpoint. One of which nothing is known and nothing but a weight is said stays as it
    /// was made.
    fn tell(&self, slot: &Arc<Slot>, weight: u32, signals: Vec<HealthSignal>) {
        let (is_weightless, is_spoken_of) = (weight == 0, !signals.is_empty());
        if slot.is_blank() && !is_weightless && !is_spoken_of {
            return;
        }
        let was_weightless = slot.with_state(|state| {
            state.signals = signals;
            state.is_weightless()
        });
        if is_spoken_of {
            slot.show_anew();
        }
        if was_weightless != is_weightless {
            let now = self.shared.clock.now();
            slot.change(now, |state| Some(state.set_weightless(is_weightless, now)));
        }
    }

    /// Replaces the configuration, but for the pool's name, clock and generator.
    pub(crate) fn reconfigure(&self, mut config: Config) -> Result<(), ConfigError> {
        config.validate()?;
        let _departed = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.members();
        config.pool = Arc::clone(&old.config.pool);
        config.clock = old.config.clock.clone();
        config.rng = old.config.rng.clone();
        let config = Arc::new(config);
        for (Seat { slot, .. }, told) in old.seats() {
            slot.with_state(|state| state.reconfigure(&config));
            slot.show_anew();
            slot.set_rank(levels::rank(&config, told));
        }
        let heeds_reports = config.reported_load.is_some();
        (self.shared.heeds_reports).store(heeds_reports, Ordering::Relaxed);
        let ranks = old.slots().map(|slot| slot.rank());
        self.shared
            .ledger
            .resize(Budget::new(ranks, config.max_ejected));
        self.members.store(Arc::new(old.with_config(config)));
        self.keep_to_budget();
        Ok(())
    }

    /// Lets endpoints back until no more are out than the pool can bear.
    fn keep_to_budget(&self) {
        let now = self.shared.clock.now();
        while let Some(slot) = self.shared.ledger.overdrawn() {
            slot.change(now, |state| state.yield_to_budget(now));
        }
    }

    /// The endpoint that is due a probe, or the one that an ordinary request goes to. `key` takes the request's own.
    #[inline]
    pub(crate) fn pick(
        &self,
        now: Instant,
        key: impl FnOnce(&Affinity) -> Option<u64>,
    ) -> Option<Pick<S>>
    where
        S: Clone,
    {
        let members = self.members.load();
        let key = members.config.affinity.as_ref().and_then(key);
        self.pick_of(&members, now, key)
    }

    /// The same for a request of this key.
    pub(crate) fn pick_for(&self, now: Instant, key: u64) -> Option<Pick<S>>
    where
        S: Clone,
    {
        self.pick_of(&self.members.load(), now, Some(key))
    }

    /// The endpoint that an ordinary request goes to, whoever is due a probe.
    #[inline]
    pub(crate) fn pick_ordinary(
        &self,
        now: Instant,
        key: impl FnOnce(&Affinity) -> Option<u64>,
    ) -> Option<Pick<S>>
    where
        S: Clone,
    {
        let members = self.members.load();
        let key = members.config.affinity.as_ref().and_then(key);
        self.look_at_peers(&members, now);
        self.ordinary(&members, now, key)
    }

    #[inline]
    fn pick_of(&self, members: &Members<S>, now: Instant, key: Option<u64>) -> Option<Pick<S>>
    where
        S: Clone,
    {
        self.look_at_peers(members, now);
        match self.probe(members, now) {
            Some(probe) => Some(begin(&members.config, probe, now)),
            None => self.ordinary(members, now, key),
        }
    }

    #[inline]
    fn ordinary(&self, members: &Members<S>, now: Instant, key: Option<u64>) -> Option<Pick<S>>
    where
        S: Clone,
    {
        let (seat, service) = members.pick(now, key, &self.shared)?;
        let chosen = (seat, seat.slot.ticket(), service.clone());
        Some(begin(&members.config, chosen, now))
    }

    /// Whether a copy of a request has somewhere to go.
    #[inline]
    pub(crate) fn is_copy_due(&self, now: Instant) -> bool {
        self.shared.ledger.has_due(now) || self.shared.second_looks.has_due(now)
    }

    /// Where a copy of a request goes, and for how long it may: to an endpoint that is out and due a
    /// probe, or to one that is in and shunned.
    #[cold]
    pub(crate) fn pick_for_copy(&self, now: Instant) -> Option<(Pick<S>, Duration)>
    where
        S: Clone,
    {
        if let Some(probe) = self.pick_probe(now) {
            let config = &self.members.load().config;
            return Some((probe, lasts(PROBE_LASTS, config, &self.shared.peers)));
        }
        let slot = self.shared.second_looks.take(now)?;
        let members = self.members.load();
        let (seat, service) = members.find(&slot)?;
        // Somebody else's code, and it may panic: nothing has begun yet.
        let service = service.clone();
        let (ticket, lasts) = slot.look_again(now)?;
        Some((begin(&members.config, (seat, ticket, service), now), lasts))
    }

    /// An endpoint that is out and due a probe, with its lease.
    #[cold]
    pub(crate) fn pick_probe(&self, now: Instant) -> Option<Pick<S>>
    where
        S: Clone,
    {
        let members = self.members.load();
        let chosen = self.probe(&members, now)?;
        Some(begin(&members.config, chosen, now))
    }

    /// Whether one endpoint of the pool would be given this request, were they all alike.
    pub(crate) fn is_its_turn(&self) -> bool {
        let all = self.members.load().len();
        self.shared.rng.below(all.max(1)) == 0
    }

    /// The endpoint that a request goes to which others have failed; `None` if it has been to all. Nothing
    /// is probed by it. `key` takes the request's own.
    #[cold]
    pub(crate) fn pick_another(
        &self,
        now: Instant,
        attempted: &Attempted,
        key: impl FnOnce(&Affinity) -> Option<u64>,
    ) -> Option<Pick<S>>
    where
        S: Clone,
    {
        let members = self.members.load();
        let key = members.config.affinity.as_ref().and_then(key);
        let (seat, service) = members.pick_another(now, key, &self.shared, attempted)?;
        let chosen = (seat, seat.slot.ticket(), service.clone());
        Some(begin(&members.config, chosen, now))
    }

    #[inline]
    fn probe<'a>(&self, members: &'a Members<S>, now: Instant) -> Option<Chosen<'a, S>>
    where
        S: Clone,
    {
        if !self.shared.ledger.has_due(now) {
            return None;
        }
        self.look_after(members, now)
    }

    #[cold]
    fn look_after<'a>(&self, members: &'a Members<S>, now: Instant) -> Option<Chosen<'a, S>>
    where
        S: Clone,
    {
        let again = now.saturating_add(ASK_AGAIN);
        let slot = self.shared.ledger.take_due(now, again)?;
        let (seat, service) = members.find(&slot)?;
        // Somebody else's code, and it may panic: nothing is leased yet.
        let service = service.clone();
        let ticket = slot.probe(now)?;
        Some((seat, ticket, service))
    }

    /// The budget yields where all of them fail.
    #[inline]
    fn heed_trouble(&self) {
        let trouble = self.shared.peers.trouble();
        if trouble > 0.0 || self.shared.ledger.is_troubled() {
            self.shared.ledger.set_trouble(trouble);
            self.keep_to_budget();
        }
    }

    /// Looks at the pool as a whole, if nobody has of late.
    #[inline]
    fn look_at_peers(&self, members: &Members<S>, now: Instant) {
        if self.shared.peers.is_due(now) {
            self.shared
                .peers
                .see(members.medians(now, &self.shared.rng));
            self.heed_trouble();
            members.spread(&self.shared.ledger);
        }
    }
}

#[inline]
fn begin<S>(config: &Config, (seat, ticket, service): Chosen<'_, S>, now: Instant) -> Pick<S> {
    seat.slot.begin(now);
    let picked = config.picked.then(|| {
        let picked = Picked::new(Arc::clone(&config.pool), Arc::clone(seat.slot.id()));
        Box::new(picked.probe(ticket.is_probe()))
    });
    Pick {
        permit: Permit::new(Arc::clone(&seat.slot), ticket, now),
        number: seat.slot.number,
        service,
        ready_deadline: config.ready_deadline,
        picked,
    }
}

fn refuse_twins<S>(endpoints: &[Endpoint<S>], hashes: &[u64]) -> Result<(), ConfigError> {
    let ids = endpoints.iter().map(|endpoint| &*endpoint.id);
    let mut ids: Vec<(&u64, &str)> = hashes.iter().zip(ids).collect();
    ids.sort_unstable();
    let twin = ids.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(one.1),
        _ => None,
    });
    match twin {
        Some(id) => {
            let problem = format!("`{id}` is there twice; identities must differ");
            Err(ConfigError::new("endpoints", problem))
        }
        None => Ok(()),
    }
}
