//! Probes under lease.

use std::time::Duration;

use super::Settings;
use crate::clock::Instant;

/// The probes of one half-open phase: which are in flight, and how many have succeeded.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    leases: Vec<Lease>,
    next_id: u64,
    successes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: u64,
    expires: Instant,
}

impl Probes {
    /// Whether a probe could be leased at `now`.
    pub(super) fn has_room(&self, now: Instant, settings: &Settings) -> bool {
        let live = self
            .leases
            .iter()
            .filter(|lease| lease.expires > now)
            .count();
        live < max(settings)
    }

    /// Leases a place, or says after how long one comes free at the latest.
    pub(super) fn lease(&mut self, now: Instant, settings: &Settings) -> Result<u64, Duration> {
        self.leases.retain(|lease| lease.expires > now);
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
            expires: now.saturating_add(settings.probe_deadline),
        });
        Ok(id)
    }

    /// Gives a place back; `false` if the lease had run out.
    pub(super) fn give_back(&mut self, id: u64, now: Instant) -> bool {
        let Some(at) = self.leases.iter().position(|lease| lease.id == id) else {
            return false;
        };
        self.leases.swap_remove(at).expires > now
    }

    /// Counts a success, and says how many there are.
    pub(super) fn succeeded(&mut self) -> u32 {
        self.successes = self.successes.saturating_add(1);
        self.successes
    }
}

fn max(settings: &Settings) -> usize {
    usize::try_from(settings.max_probes.get()).unwrap_or(usize::MAX)
}
