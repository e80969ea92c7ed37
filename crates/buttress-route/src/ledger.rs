//! Who is out, within which budget, and when somebody has to look after one of them.
//!
//! The one lock that the endpoints of a pool share. It is taken when an endpoint goes out, is probed
//! or comes back, never for an ordinary request. An endpoint's own lock may be held when this one is
//! taken, never the other way round.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use buttress_core::clock::Instant;

use crate::slot::Slot;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard};

/// Where the middle of the pool fails this share, nobody is thrown out for failing.
const ALL_IN_TROUBLE: f64 = 0.2;

/// The endpoints that are out.
#[derive(Debug)]
pub(crate) struct Ledger {
    inner: Mutex<Inner>,
    /// The earliest `due`, for picks to read.
    next_due: AtomicU64,
    /// Whether [`Inner::trouble`] is above 0.
    troubled: AtomicBool,
    /// How often somebody has gone out or come back.
    changes: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    members: usize,
    max_ejected: f64,
    /// The share of failures in the middle of the pool.
    trouble: f64,
    out: Vec<Out>,
}

#[derive(Debug)]
struct Out {
    slot: Weak<Slot>,
    /// When a pick should look after it: to probe it, or to ask its signals again.
    due: Instant,
    by_hand: bool,
}

impl Out {
    fn is(&self, slot: &Arc<Slot>) -> bool {
        std::ptr::eq(self.slot.as_ptr(), Arc::as_ptr(slot))
    }
}

impl Ledger {
    pub(crate) fn new(max_ejected: f64) -> Self {
        Self {
            inner: Mutex::new(Inner {
                members: 0,
                max_ejected,
                trouble: 0.0,
                out: Vec::new(),
            }),
            next_due: AtomicU64::new(Instant::NEVER.as_nanos()),
            troubled: AtomicBool::new(false),
            changes: AtomicU64::new(0),
        }
    }

    /// Takes `slot` out if the budget bears it; says what forbids it if not.
    pub(crate) fn eject(&self, slot: &Arc<Slot>) -> Result<(), &'static str> {
        let mut inner = self.lock();
        if inner.position(slot).is_some() || !slot.is_member() {
            return Ok(());
        }
        let out = inner.out.len() + 1;
        if out >= inner.members {
            return Err("last_endpoint");
        }
        if out > allowed(inner.members, inner.max_ejected) {
            return Err("max_ejected");
        }
        if out > inner.allowed() {
            return Err("peers_fail");
        }
        inner.set(slot, Instant::NEVER, false);
        Ok(())
    }

    /// Enters `slot` as out, whatever the budget, or sets when it is due.
    pub(crate) fn set(&self, slot: &Arc<Slot>, due: Instant, by_hand: bool) {
        let mut inner = self.lock();
        if slot.is_member() {
            inner.set(slot, due, by_hand);
        }
        self.tell(&inner);
    }

    /// `slot` is back, or gone.
    pub(crate) fn remove(&self, slot: &Arc<Slot>) {
        let mut inner = self.lock();
        if let Some(position) = inner.position(slot) {
            inner.out.swap_remove(position);
            self.tell(&inner);
        }
    }

    /// Whether somebody should call [`Ledger::take_due`] at `now`.
    #[inline]
    pub(crate) fn has_due(&self, now: Instant) -> bool {
        now.as_nanos() >= self.next_due.load(Ordering::Relaxed)
    }

    /// An endpoint that is due. Nobody else is given it before `again`.
    pub(crate) fn take_due(&self, now: Instant, again: Instant) -> Option<Arc<Slot>> {
        // Whoever has the lock is looking after it.
        let mut inner = match self.inner.try_lock() {
            Ok(inner) => inner,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return None,
        };
        inner.out.retain(|out| out.slot.strong_count() > 0);
        let due = inner.out.iter_mut().filter(|out| out.due <= now);
        let first = due.min_by_key(|out| out.due);
        let slot = first.and_then(|out| {
            out.due = again;
            out.slot.upgrade()
        });
        self.tell(&inner);
        slot
    }

    /// The pool has as many members and this budget from now on.
    pub(crate) fn resize(&self, members: usize, max_ejected: f64) {
        let mut inner = self.lock();
        (inner.members, inner.max_ejected) = (members, max_ejected);
    }

    /// The pool fails as much as this: what is out may have to come back, and is told by
    /// [`Ledger::overdrawn`].
    pub(crate) fn set_trouble(&self, share: f64) {
        self.lock().trouble = share;
        self.troubled.store(share > 0.0, Ordering::Relaxed);
    }

    /// Whether there was trouble when that was last said.
    #[inline]
    pub(crate) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    /// The endpoint that should come back first because the budget is overdrawn, if it is.
    pub(crate) fn overdrawn(&self) -> Option<Arc<Slot>> {
        let inner = self.lock();
        let by_rule = || inner.out.iter().filter(|out| !out.by_hand);
        if by_rule().count() <= inner.allowed() {
            return None;
        }
        by_rule()
            .min_by_key(|out| out.due)
            .and_then(|out| out.slot.upgrade())
    }

    /// How many are out.
    pub(crate) fn out(&self) -> usize {
        self.lock().out.len()
    }

    /// How many may be out at once.
    pub(crate) fn allowed(&self) -> usize {
        self.lock().allowed()
    }

    /// Another number whenever somebody may have gone out or come back.
    #[inline]
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn tell(&self, inner: &Inner) {
        self.changes.fetch_add(1, Ordering::Release);
        let due = inner.out.iter().map(|out| out.due).min();
        let due = due.unwrap_or(Instant::NEVER);
        self.next_due.store(due.as_nanos(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn allowed(&self) -> usize {
        yielding(allowed(self.members, self.max_ejected), self.trouble)
    }

    fn position(&self, slot: &Arc<Slot>) -> Option<usize> {
        self.out.iter().position(|out| out.is(slot))
    }

    fn set(&mut self, slot: &Arc<Slot>, due: Instant, by_hand: bool) {
        let entry = Out {
            slot: Arc::downgrade(slot),
            due,
            by_hand,
        };
        match self.out.iter_mut().find(|out| out.is(slot)) {
            Some(out) => *out = entry,
            None => self.out.push(entry),
        }
    }
}

/// How many of `members` may be out at once: the share of them, at least one where another stays,
/// never all. A share of 0 means none.
pub(crate) fn allowed(members: usize, share: f64) -> usize {
    let others = members.saturating_sub(1);
    if share <= 0.0 {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is between 0 and the count"
    )]
    let bearable = (members as f64 * share) as usize;
    bearable.max(1).min(others)
}

/// What is left of a budget in a pool whose middle fails this share.
///
/// Who is thrown out leaves their load to the others. Where these are in trouble themselves, that makes
/// it worse, and there is nobody better: the budget yields with the trouble, and nobody falls off a
/// cliff.
fn yielding(budget: usize, trouble: f64) -> usize {
    let left = (1.0 - trouble / ALL_IN_TROUBLE).clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is between 0 and the count"
    )]
    let budget = (budget as f64 * left).ceil() as usize;
    budget
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_a_share_with_one_always_ejectable_and_one_always_left() {
        let table = [
            (0, 0.5, 0),
            (1, 1.0, 0),
            (2, 0.5, 1),
            (3, 0.1, 1),
            (3, 1.0, 2),
            (10, 0.5, 5),
            (10, 0.0, 0),
        ];
        for (members, share, expected) in table {
            assert_eq!(allowed(members, share), expected, "{members} × {share}");
        }
    }

    #[test]
    fn the_budget_yields_bit_by_bit_to_the_trouble_of_the_pool() {
        let left = [0.0, 0.05, 0.1, 0.15, 0.19, 0.2, 1.0].map(|trouble| yielding(5, trouble));
        assert_eq!(left, [5, 4, 3, 2, 1, 0, 0]);
        assert_eq!(
            yielding(1, 0.1),
            1,
            "a small pool can throw one out all the same"
        );
    }
}
