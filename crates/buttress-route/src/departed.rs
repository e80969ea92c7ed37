//! Who has left the pool, for a while: an endpoint that comes back goes on where it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;

use crate::slot::Slot;

/// As many are remembered as are in the pool, and of a small pool as many as this.
const FEW: usize = 64;

/// Those that left last, each until [`crate::Config::remember`] is over.
///
/// By the hash of their identity: of two with the same, which nobody will ever see, the later one is remembered.
#[derive(Debug, Default)]
pub(crate) struct Departed(BTreeMap<u64, Gone>);

#[derive(Debug)]
struct Gone {
    slot: Arc<Slot>,
    at: Instant,
}

impl Departed {
    /// `slot`, whose identity has this hash, leaves at `at`.
    pub(crate) fn keep(&mut self, hash: u64, slot: Arc<Slot>, at: Instant) {
        self.0.insert(hash, Gone { slot, at });
    }

    /// What is known of `id`, which comes back.
    pub(crate) fn take(&mut self, hash: u64, id: &str) -> Option<Arc<Slot>> {
        self.0.get(&hash).filter(|gone| **gone.slot.id() == *id)?;
        self.0.remove(&hash).map(|gone| gone.slot)
    }

    /// Forgets who left longer ago than `remember`, and the first to leave of more than a pool of
    /// `members` may have in mind.
    pub(crate) fn forget(&mut self, now: Instant, remember: Duration, members: usize) {
        self.0
            .retain(|_, gone| now.saturating_since(gone.at) < remember);
        let excess = self.0.len().saturating_sub(members.max(FEW));
        if excess > 0 {
            let mut left: Vec<_> = self.0.values().map(|gone| gone.at).collect();
            left.sort_unstable();
            let mut excess = excess;
            let limit = left.get(excess - 1).copied().unwrap_or(now);
            self.0.retain(|_, gone| {
                let goes = excess > 0 && gone.at <= limit;
                excess -= usize::from(goes);
                !goes
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use buttress_core::rng::Rng;

    use super::*;
    use crate::config::Config;
    use crate::shared::Shared;
    use crate::slot::Blank;

    fn slot(id: usize) -> Arc<Slot> {
        let config = Config::default().rng(Rng::seeded(1));
        let shared = Arc::new(Shared::new(&config));
        let id = id.to_string().into();
        let blank = Blank::new(Arc::new(config), &shared, false);
        Arc::new(Slot::new(id, &shared, &Arc::new(blank)))
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn who_left_too_long_ago_is_forgotten() {
        let mut departed = Departed::default();
        departed.keep(1, slot(1), at(100));
        departed.keep(2, slot(2), at(105));
        departed.forget(at(110), Duration::from_secs(10), 0);
        assert!(departed.take(1, "1").is_none());
        assert!(departed.take(2, "2").is_some());
    }

    #[test]
    fn no_more_are_remembered_than_may_be_and_the_first_to_leave_go_first() {
        let mut departed = Departed::default();
        (0..200).for_each(|n| departed.keep(n as u64, slot(n), at(n as u64 / 3)));
        departed.forget(at(100), Duration::MAX, 70);
        assert_eq!(departed.0.len(), 70);
        assert!(departed.take(129, "129").is_none() && departed.take(199, "199").is_some());
        departed.forget(at(100), Duration::MAX, 1);
        assert_eq!(departed.0.len(), FEW);
    }
}
