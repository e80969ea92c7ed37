//! The pool: its list of endpoints, what they share, and how a request gets one of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use buttress_core::circuit::Ticket;
use buttress_core::clock::Instant;
use buttress_core::config::ConfigError;
use buttress_core::decision::Picked;

use crate::attempted::Attempted;
use crate::background::Post;
use crate::config::Config;
use crate::departed::Departed;
use crate::endpoint::Endpoint;
use crate::members::{Member, Members};
use crate::permit::Permit;
use crate::shared::Shared;
use crate::slot::Slot;
use crate::state::ASK_AGAIN;

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
    pub(crate) number: u64,
    pub(crate) service: S,
    pub(crate) ready_deadline: Duration,
    /// On the heap, for every layer outside moves the future about; it goes there in the end anyway.
    pub(crate) picked: Option<Box<Picked>>,
}

/// Where a request goes, by what right, and the clone that it is sent to.
type Chosen<'a, S> = (&'a Member<S>, Ticket, S);

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
        refuse_twins(&endpoints)?;
        let mut departed = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.shared.clock.now();
        let old = self.members();
        let config = Arc::clone(&old.config);
        departed.forget(now, config.remember, old.list.len());
        let slots = old.list.iter().map(|it| (&*it.slot.id, &it.slot));
        let mut known: BTreeMap<&str, &Arc<Slot>> = slots.collect();
        let mut list = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let kept = known.remove(&*endpoint.id).cloned();
            let kept = kept.or_else(|| departed.take(&endpoint.id));
            list.push(self.member(endpoint, kept, &config));
        }
        self.shared.ledger.resize(list.len(), config.max_ejected);
        for slot in known.into_values() {
            slot.leave();
            departed.keep(Arc::clone(slot), now);
        }
        for member in list.iter().filter(|member| !member.slot.is_member()) {
            member.slot.rejoin(&config, now);
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
        kept: Option<Arc<Slot>>,
        config: &Arc<Config>,
    ) -> Member<S> {
        let Endpoint {
            id,
            service,
            weight,
            signals,
        } = endpoint;
        let slot = if let Some(slot) = kept {
            slot.with_state(|state| state.signals = signals);
            slot
        } else {
            Arc::new(Slot::new(id, &self.shared, config, signals))
        };
        Member {
            slot,
            service,
            weight: weight.get(),
            load_factor: 1.0,
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
        for member in &*old.list {
            member.slot.with_state(|state| state.reconfigure(&config));
        }
        self.shared
            .ledger
            .resize(old.list.len(), config.max_ejected);
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

    /// The endpoint that is due a probe, or the one that an ordinary request goes to.
    pub(crate) fn pick(&self, now: Instant) -> Option<Pick<S>>
    where
        S: Clone,
    {
        let members = self.members.load();
        self.look_at_peers(&members, now);
        let (member, ticket, service) = if let Some(probe) = self.probe(&members, now) {
            probe
        } else {
            let member = members.pick(now, &self.shared)?;
            (member, member.slot.ticket(), member.service.clone())
        };
        Some(begin(&members.config, (member, ticket, service), now))
    }

    /// The endpoint that a request goes to which others have failed; `None` if it has been to all. Nothing
    /// is probed by it.
    #[cold]
    pub(crate) fn pick_another(&self, now: Instant, attempted: &Attempted) -> Option<Pick<S>>
    where
        S: Clone,
    {
        let members = self.members.load();
        let member = members.pick_another(now, &self.shared, attempted)?;
        let chosen = (member, member.slot.ticket(), member.service.clone());
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
        let member = members.find(&slot)?;
        // Somebody else's code, and it may panic: nothing is leased yet.
        let service = member.service.clone();
        let ticket = slot.probe(now)?;
        Some((member, ticket, service))
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
        }
    }
}

#[inline]
fn begin<S>(config: &Config, (member, ticket, service): Chosen<'_, S>, now: Instant) -> Pick<S> {
    member.slot.begin(now);
    let picked = config.picked.then(|| {
        let picked = Picked::new(Arc::clone(&config.pool), Arc::clone(&member.slot.id));
        Box::new(picked.probe(ticket.is_probe()))
    });
    Pick {
        permit: Permit::new(Arc::clone(&member.slot), ticket, now),
        number: member.slot.number,
        service,
        ready_deadline: config.ready_deadline,
        picked,
    }
}

fn refuse_twins<S>(endpoints: &[Endpoint<S>]) -> Result<(), ConfigError> {
    let mut ids: Vec<&str> = endpoints.iter().map(|endpoint| &*endpoint.id).collect();
    ids.sort_unstable();
    let twin = ids.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
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
