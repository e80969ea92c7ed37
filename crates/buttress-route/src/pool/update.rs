//! Other endpoints, and another configuration, for a pool that goes on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use buttress_core::config::ConfigError;
use buttress_core::health::HealthSignal;

use super::Pool;
use crate::affinity::Affinity;
use crate::budget::Budget;
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::known::Known;
use crate::levels::{self, Rank};
use crate::members::Members;
use crate::seat::{Seat, Told};
use crate::slot::{Blank, Slot};

impl<S> Pool<S> {
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
        self.shared.ledger.resize(budget(ranks, &config));
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
        let seat = Seat { slot };
        let told = Told {
            weight,
            place: 0,
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
        for (Seat { slot }, told) in old.seats() {
            slot.with_state(|state| state.reconfigure(&config));
            slot.show_anew();
            slot.set_rank(levels::rank(&config, told));
        }
        let heeds_reports = config.reported_load.is_some();
        (self.shared.heeds_reports).store(heeds_reports, Ordering::Relaxed);
        let ranks = old.slots().map(|slot| slot.rank());
        self.shared.ledger.resize(budget(ranks, &config));
        self.members.store(Arc::new(old.with_config(config)));
        self.keep_to_budget();
        Ok(())
    }

    /// Lets endpoints back until no more are out than the pool can bear.
    pub(super) fn keep_to_budget(&self) {
        let now = self.shared.clock.now();
        while let Some(slot) = self.shared.ledger.overdrawn() {
            let slowdown = slot.peers().slowdown();
            slot.change(now, |state| state.yield_to_budget(slowdown, now));
        }
    }
}

fn budget(ranks: impl Iterator<Item = Rank>, config: &Config) -> Budget {
    Budget::new(ranks, config.max_ejected, config.overprovisioning)
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pick_waits_for_no_update() {
        let endpoints = ["a", "b"].map(|id| Endpoint::new(id, ()));
        let pool = Arc::new(Pool::new(Config::default(), endpoints.into()).unwrap());
        let (told, picked) = channel();
        // As in the middle of an update, which holds it to its end.
        let updating = pool.updating.lock().unwrap();
        std::thread::spawn({
            let pool = Arc::clone(&pool);
            move || {
                let now = pool.shared.clock.now();
                for _ in 0..1_000 {
                    drop(pool.pick(now, |_| None));
                    drop(pool.acquire(now, None));
                }
                told.send(())
            }
        });
        let all = picked.recv_timeout(Duration::from_secs(60));
        drop(updating);
        assert!(all.is_ok(), "a pick waits");
    }
}
