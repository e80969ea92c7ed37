//! Probes under lease.

use std::time::Duration;

use super::{Evidence, Probing, Settings};
use crate::clock::Instant;
use crate::outcome::Outcome;

/// So many probes that outlived their leases may still end well and count; older ones are forgotten.
const OVERDUE: usize = 64;

/// The probes of one half-open phase: which are in flight, and how many have succeeded.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    leases: Vec<Lease>,
    /// Those whose place was given to others, oldest first.
    overdue: Vec<Lease>,
    next_id: u64,
    good: u32,
    bad: u32,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: u64,
    since: Instant,
    expires: Instant,
    /// A good answer has begun; all that is open is its end.
    answered: bool,
    /// It became slow in flight, which has been counted: its end says nothing more.
    slow: bool,
}

impl Probes {
    /// Whether a probe could be leased at `now`.
    pub(super) fn has_room(&self, now: Instant, settings: &Settings) -> bool {
        let live = self.leases.iter().filter(|lease| lease.expires > now);
        live.count() < max(settings)
    }

    /// Whether, after [`Probes::reap`] at `now`, enough would have ended well.
    pub(super) fn would_suffice(&self, now: Instant, settings: &Settings) -> bool {
        let answered = |lease: &&Lease| lease.expires <= now && lease.answered;
        let more = self.leases.iter().filter(answered).count();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.good.saturating_add(more) >= settings.probing.needed()
    }

    /// Takes back the places of leases that have run out. A probe among them that had been answered
    /// has succeeded: some answers have no end.
    pub(super) fn reap(&mut self, now: Instant) {
        self.leases.retain(|lease| {
            let live = lease.expires > now;
            match lease.answered {
                _ if live => {}
                true => self.good = self.good.saturating_add(1),
                false => self.overdue.push(*lease),
            }
            live
        });
        let forgotten = self.overdue.len().saturating_sub(OVERDUE);
        self.overdue.drain(..forgotten);
    }

    /// Leases a place, or says after how long one comes free at the latest. To be called after
    /// [`Probes::reap`].
    pub(super) fn lease(&mut self, now: Instant, settings: &Settings) -> Result<u64, Duration> {
        // Fewer places than before may have been configured: then more than one has to come free.
        if let Some(over) = self.leases.len().checked_sub(max(settings)) {
            let by_end = |lease: &Lease| lease.expires;
            let (_, next, _) = self.leases.select_nth_unstable_by_key(over, by_end);
            return Err(next.expires.saturating_since(now));
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.leases.push(Lease {
            id,
            since: now,
            expires: now.saturating_add(settings.probe_deadline),
            answered: false,
            slow: false,
        });
        Ok(id)
    }

    /// The answer to a probe has begun, and well.
    pub(super) fn answered(&mut self, id: u64, now: Instant) {
        let live = |lease: &&mut Lease| lease.id == id && lease.expires > now && !lease.slow;
        if let Some(lease) = self.leases.iter_mut().find(live) {
            lease.answered = true;
        }
    }

    /// Gives a place back, and says what the outcome means to the circuit, if anything: after the
    /// lease has run out a success alone is believed, and the end of what had been answered well.
    pub(super) fn give_back(&mut self, id: u64, outcome: Outcome, now: Instant) -> Option<Outcome> {
        let lease = self.take(id)?;
        let well = match outcome {
            _ if lease.slow => return Some(Outcome::Ignored),
            _ if lease.expires > now => return Some(outcome),
            Outcome::Success => true,
            Outcome::Ignored | Outcome::Abandoned => lease.answered,
            Outcome::Failure(_) | Outcome::Slow => false,
        };
        well.then_some(Outcome::Success)
    }

    /// When the next of the live probes without an answer is in flight for longer than `slow_after`, if its
    /// lease lasts for so long.
    pub(super) fn next_slow(&self, slow_after: Duration) -> Option<Instant> {
        let waiting = |lease: &&Lease| lease.may_become_slow(slow_after);
        let waiting = self.leases.iter().filter(waiting);
        waiting.map(|lease| lease.slow_at(slow_after)).min()
    }

    /// Counts those that are in flight for longer than `slow_after` at `at`.
    pub(super) fn count_slow(&mut self, slow_after: Duration, at: Instant) {
        for lease in &mut self.leases {
            if lease.may_become_slow(slow_after) && lease.slow_at(slow_after) <= at {
                lease.slow = true;
                self.bad = self.bad.saturating_add(1);
            }
        }
    }

    /// The lease of a probe; `None` if the probe has ended before or is forgotten.
    fn take(&mut self, id: u64) -> Option<Lease> {
        let is = |lease: &Lease| lease.id == id;
        if let Some(at) = self.leases.iter().position(is) {
            return Some(self.leases.swap_remove(at));
        }
        let at = self.overdue.iter().position(is)?;
        Some(self.overdue.remove(at))
    }

    /// Counts what a probe showed.
    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Success => self.good = self.good.saturating_add(1),
            // Slow was what someone complained of, or the slow threshold would not be set.
            Outcome::Failure(_) | Outcome::Slow => self.bad = self.bad.saturating_add(1),
            Outcome::Ignored | Outcome::Abandoned => {}
        }
    }

    /// Whether enough have ended well.
    pub(super) fn suffice(&self, settings: &Settings) -> bool {
        self.good >= settings.probing.needed()
    }

    /// Whether more have ended badly than is borne.
    pub(super) fn condemn(&self, settings: &Settings) -> bool {
        self.bad > settings.probing.bearable()
    }

    /// What the probes showed so far.
    pub(super) fn evidence(&self, settings: &Settings) -> Evidence {
        let (good, bad) = (f64::from(self.good), f64::from(self.bad));
        let calls = self.good.saturating_add(self.bad);
        match settings.probing {
            Probing::Rate { max_bad_ratio, .. } => {
                Evidence::new(bad / f64::from(calls.max(1)), max_bad_ratio, calls)
            }
            Probing::Successes(_) if self.bad > 0 => Evidence::new(bad, 1.0, self.bad),
            Probing::Successes(needed) => Evidence::new(good, needed.get().into(), self.good),
        }
    }
}

impl Lease {
    fn may_become_slow(&self, slow_after: Duration) -> bool {
        !self.answered && !self.slow && self.slow_at(slow_after) < self.expires
    }

    /// The first moment at which it is in flight for longer than `slow_after`.
    fn slow_at(&self, slow_after: Duration) -> Instant {
        let after = slow_after.saturating_add(Duration::from_nanos(1));
        self.since.saturating_add(after)
    }
}

fn max(settings: &Settings) -> usize {
    usize::try_from(settings.max_probes.get()).unwrap_or(usize::MAX)
}
