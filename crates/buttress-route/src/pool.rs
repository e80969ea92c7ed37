//! The pool: its list of endpoints, what they share, and how a request gets one of them.

mod update;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use buttress_core::circuit::Ticket;
use buttress_core::clock::Instant;
use buttress_core::config::ConfigError;
use buttress_core::decision::Picked;

use crate::affinity::Affinity;
use crate::attempted::Attempted;
use crate::background::Post;
use crate::config::Config;
use crate::departed::Departed;
use crate::endpoint::Endpoint;
use crate::members::Members;
use crate::permit::Permit;
use crate::seat::Seat;
use crate::shared::Shared;
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

/// Where a request goes, by what right, and the clone that it is sent to. Nothing has begun yet.
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
        let chosen = self.choose(&members, now, key)?;
        Some(begin(&members.config, chosen, now))
    }

    /// The same for a call of this key that is no exchange over HTTP.
    #[inline]
    pub(crate) fn acquire(&self, now: Instant, key: Option<u64>) -> Option<(Permit, S)>
    where
        S: Clone,
    {
        let members = self.members.load();
        let (seat, ticket, service) = self.choose(&members, now, key)?;
        Some((permit(seat, ticket, now), service))
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
        let chosen = self.choose_ordinary(&members, now, key)?;
        Some(begin(&members.config, chosen, now))
    }

    #[inline]
    fn choose<'a>(
        &self,
        members: &'a Members<S>,
        now: Instant,
        key: Option<u64>,
    ) -> Option<Chosen<'a, S>>
    where
        S: Clone,
    {
        self.look_at_peers(members, now);
        self.choose_probe(members, now)
            .or_else(|| self.choose_ordinary(members, now, key))
    }

    #[inline]
    fn choose_ordinary<'a>(
        &self,
        members: &'a Members<S>,
        now: Instant,
        key: Option<u64>,
    ) -> Option<Chosen<'a, S>>
    where
        S: Clone,
    {
        let (seat, service) = members.pick(now, key, &self.shared)?;
        Some((seat, seat.slot.ticket(), service.clone()))
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
        let chosen = self.choose_probe(&members, now)?;
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
        // What one could not answer would be one more for those who have too much to do.
        if members.config.policy.gives_turns() && self.shared.peers.are_overrun() {
            return None;
        }
        let key = members.config.affinity.as_ref().and_then(key);
        let (seat, service) = members.pick_another(now, key, &self.shared, attempted)?;
        let chosen = (seat, seat.slot.ticket(), service.clone());
        Some(begin(&members.config, chosen, now))
    }

    #[inline]
    fn choose_probe<'a>(&self, members: &'a Members<S>, now: Instant) -> Option<Chosen<'a, S>>
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

    /// Who is out comes back where the others cannot bear their share.
    #[inline]
    fn heed_pressure(&self, now: Instant) {
        if self.shared.ledger.has_help() {
            let slowdown = self.shared.peers.slowdown();
            if let Some((slot, others)) = self.shared.ledger.helper(slowdown, now) {
                slot.change(now, |state| state.help_its_peers(slowdown, others, now));
            }
        }
    }

    /// Looks at the pool as a whole, if nobody has of late.
    #[inline]
    fn look_at_peers(&self, members: &Members<S>, now: Instant) {
        if self.shared.peers.is_due(now) {
            self.see_peers(members, now);
        }
    }

    #[cold]
    fn see_peers(&self, members: &Members<S>, now: Instant) {
        let start = members.start(&self.shared.rng);
        let medians = members.medians(start, now, &self.shared.rng);
        self.shared.peers.see(medians, now);
        self.heed_trouble();
        self.heed_pressure(now);
        members.spread(&self.shared.ledger, now);
        members.follow_shunned(start, now, &self.shared);
    }
}

#[inline]
fn begin<S>(config: &Config, (seat, ticket, service): Chosen<'_, S>, now: Instant) -> Pick<S> {
    let picked = config.picked.then(|| {
        let picked = Picked::new(Arc::clone(&config.pool), Arc::clone(seat.slot.id()));
        Box::new(picked.probe(ticket.is_probe()))
    });
    Pick {
        permit: permit(seat, ticket, now),
        number: seat.slot.number,
        service,
        ready_deadline: config.ready_deadline,
        picked,
    }
}

/// The request is on its way.
#[inline]
fn permit(seat: &Seat, ticket: Ticket, now: Instant) -> Permit {
    seat.slot.begin(now);
    Permit::new(Arc::clone(&seat.slot), ticket, now)
}
