//! Whom a pool has when its list is replaced.

use std::sync::Arc;

use crate::members::Members;
use crate::slot::Slot;

/// Whom the pool has, by identity; by the hash of it first, for to compare identities is to fetch them from all over the
/// memory.
pub(crate) struct Known<'a>(Vec<(u64, &'a Arc<Slot>, bool)>);

impl<'a> Known<'a> {
    /// Those of `members`.
    pub(crate) fn of<S>(members: &'a Members<S>) -> Self {
        let all = members
            .seats()
            .map(|(seat, told)| (told.hash, &seat.slot, true));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by(|one, other| {
            let by_hash = one.0.cmp(&other.0);
            by_hash.then_with(|| one.1.id().cmp(other.1.id()))
        });
        Self(all)
    }

    /// The slot of `id`; once.
    pub(crate) fn take(&mut self, hash: u64, id: &str) -> Option<Arc<Slot>> {
        let order = |known: &(u64, &Arc<Slot>, bool)| {
            let by_hash = known.0.cmp(&hash);
            by_hash.then_with(|| (**known.1.id()).cmp(id))
        };
        let at = self.0.binary_search_by(order).ok()?;
        let (_, slot, is_left) = self.0.get_mut(at)?;
        std::mem::take(is_left).then(|| Arc::clone(slot))
    }

    /// Who was not taken.
    pub(crate) fn rest(self) -> impl Iterator<Item = (u64, &'a Arc<Slot>)> {
        let left = self.0.into_iter().filter(|(.., is_left)| *is_left);
        left.map(|(hash, slot, _)| (hash, slot))
    }
}
