//! The list of a pool's endpoints at one moment. Immutable: an update makes another.

use std::sync::Arc;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use crate::alias::AliasTable;
use crate::attempted::Attempted;
use crate::config::Config;
use crate::peers::{Medians, SAMPLE, Shows};
use crate::pick::{Candidate, Candidates, DRAWN, SCAN};
use crate::shared::Shared;
use crate::slot::{Gate, Slot};

/// How often endpoints are drawn anew because all that were drawn are out, before all are looked at.
const DRAWS: usize = 4;

#[derive(Debug)]
pub(crate) struct Members<S> {
    pub(crate) config: Arc<Config>,
    pub(crate) list: Arc<[Member<S>]>,
    /// For drawing by weight, where the pool is too large to be scanned and the weights differ.
    draws: Option<Arc<AliasTable>>,
}

#[derive(Debug)]
pub(crate) struct Member<S> {
    pub(crate) slot: Arc<Slot>,
    pub(crate) service: S,
    pub(crate) weight: u32,
    /// How heavily a request in flight weighs: the mean weight over this one's.
    pub(crate) load_factor: f64,
}

impl<S> Members<S> {
    pub(crate) fn new(config: Arc<Config>, mut list: Vec<Member<S>>) -> Self {
        let total: f64 = list.iter().map(|member| f64::from(member.weight)).sum();
        let mean = total / list.len().max(1) as f64;
        for member in &mut list {
            member.load_factor = mean / f64::from(member.weight);
        }
        let differ = list.windows(2).any(|pair| match pair {
            [one, other] => one.weight != other.weight,
            _ => false,
        });
        let weights = || list.iter().map(|member| f64::from(member.weight));
        let draws = (differ && list.len() > SCAN).then(|| Arc::new(AliasTable::new(weights())));
        Self {
            config,
            list: list.into(),
            draws,
        }
    }

    /// The same endpoints under another configuration.
    pub(crate) fn with_config(&self, config: Arc<Config>) -> Self {
        Self {
            config,
            list: Arc::clone(&self.list),
            draws: self.draws.clone(),
        }
    }

    /// The endpoint that an ordinary request goes to; `None` if there is none that is not draining.
    pub(crate) fn pick(&self, now: Instant, shared: &Shared) -> Option<&Member<S>> {
        let (rng, load) = (&shared.rng, shared.peers.load());
        let index = if self.list.len() <= SCAN {
            self.scan(now, load, rng)
        } else {
            self.draw(now, load, rng)
        };
        self.list
            .get(index.or_else(|| self.last_resort(now, load))?)
    }

    fn scan(&self, now: Instant, load: f64, rng: &Rng) -> Option<usize> {
        if let [only] = &*self.list {
            return is_open(only, now).then_some(0);
        }
        let mut candidates = Candidates::new();
        for (index, member) in self.list.iter().enumerate() {
            consider(
                &mut candidates,
                index,
                member,
                f64::from(member.weight),
                (now, load),
            );
        }
        candidates.choose(self.config.noise_band, rng)
    }

    fn draw(&self, now: Instant, load: f64, rng: &Rng) -> Option<usize> {
        (0..DRAWS)
            .find_map(|_| self.draw_once(now, load, rng))
            .or_else(|| self.any_open(now, load, rng))
    }

    fn draw_once(&self, now: Instant, load: f64, rng: &Rng) -> Option<usize> {
        let mut candidates = Candidates::new();
        for _ in 0..DRAWN {
            let index = match &self.draws {
                Some(draws) => draws.draw(rng),
                None => rng.below(self.list.len()),
            };
            if let Some(member) = self.list.get(index) {
                // The draw has gone by weight already.
                consider(&mut candidates, index, member, 1.0, (now, load));
            }
        }
        candidates.choose(self.config.noise_band, rng)
    }

    /// Looks at all, from a random one on, for the first few that are open.
    #[cold]
    fn any_open(&self, now: Instant, load: f64, rng: &Rng) -> Option<usize> {
        let mut candidates = Candidates::new();
        let start = rng.below(self.list.len());
        let order = (start..self.list.len()).chain(0..start);
        let open = order
            .filter_map(|index| Some((index, self.list.get(index)?)))
            .filter(|(_, member)| member.slot.gate() == Gate::Open);
        for (index, member) in open.take(DRAWN) {
            consider(&mut candidates, index, member, 1.0, (now, load));
        }
        candidates.choose(self.config.noise_band, rng)
    }

    /// Nobody is open: the least bad of those that are not draining.
    #[cold]
    fn last_resort(&self, now: Instant, load: f64) -> Option<usize> {
        let cost = |member: &Member<S>| member.slot.cost(now, member.load_factor, load);
        let members = self.list.iter().enumerate();
        members
            .filter(|(_, member)| member.slot.gate() != Gate::Shut)
            .min_by(|(_, one), (_, other)| cost(one).total_cmp(&cost(other)))
            .map(|(index, _)| index)
    }

    /// The endpoint for a request that has been to some: among others the cheapest of a few that are open,
    /// and of those that are out the least bad.
    #[cold]
    pub(crate) fn pick_another(
        &self,
        now: Instant,
        shared: &Shared,
        attempted: &Attempted,
    ) -> Option<&Member<S>> {
        let (rng, load) = (&shared.rng, shared.peers.load());
        let start = rng.below(self.list.len().max(1));
        let order = (start..self.list.len()).chain(0..start);
        let others = order
            .filter_map(|index| Some((index, self.list.get(index)?)))
            .filter(|(_, member)| !attempted.holds(member.slot.number));
        let mut candidates = Candidates::new();
        for (index, member) in others.clone().filter(|(_, it)| is_open(it, now)).take(SCAN) {
            let weight = f64::from(member.weight);
            consider(&mut candidates, index, member, weight, (now, load));
        }
        let open = candidates.choose(self.config.noise_band, rng);
        let least_bad = || {
            let cost = |member: &Member<S>| member.slot.cost(now, member.load_factor, load);
            let alive = others.filter(|(_, member)| member.slot.gate() != Gate::Shut);
            let dearest_last = |one: &(usize, &Member<S>), other: &(usize, &Member<S>)| {
                cost(one.1).total_cmp(&cost(other.1))
            };
            alive.min_by(dearest_last).map(|(index, _)| index)
        };
        self.list.get(open.or_else(least_bad)?)
    }

    /// The member that `slot` belongs to.
    pub(crate) fn find(&self, slot: &Arc<Slot>) -> Option<&Member<S>> {
        self.list
            .iter()
            .find(|member| Arc::ptr_eq(&member.slot, slot))
    }

    /// What the endpoints show, in the middle; of a large pool, what some of them do.
    pub(crate) fn medians(&self, now: Instant, rng: &Rng) -> Medians {
        let len = self.list.len();
        let start = if len > SAMPLE { rng.below(len) } else { 0 };
        let stride = (len / SAMPLE).max(1);
        let mut all = [Shows::default(); SAMPLE];
        for (n, place) in all.iter_mut().enumerate().take(len) {
            let member = self.list.get((start + n * stride) % len);
            *place = member.map(|it| it.slot.shows(now)).unwrap_or_default();
        }
        Medians::of(all.get(..len.min(SAMPLE)).unwrap_or_default())
    }
}

#[inline]
fn consider<S>(
    candidates: &mut Candidates,
    index: usize,
    member: &Member<S>,
    weight: f64,
    (now, load): (Instant, f64),
) {
    if is_open(member, now) {
        candidates.push(Candidate {
            index,
            cost: member.slot.cost(now, member.load_factor, load),
            weight,
        });
    }
}

/// Whether `member` takes ordinary traffic, by what it shows of late.
#[inline]
fn is_open<S>(member: &Member<S>, now: Instant) -> bool {
    let slot = &member.slot;
    if slot.is_stale(now) {
        slot.refresh(now);
    }
    slot.gate() == Gate::Open
}
