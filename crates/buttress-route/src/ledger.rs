//! Who is out, within which budget, and when somebody has to look after one of them.
//!
//! The one lock that the endpoints of a pool share. It is taken when an endpoint goes out, is probed
//! or comes back, never for an ordinary request. An endpoint's own lock may be held when this one is
//! taken, never the other way round.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use buttress_core::clock::Instant;

use crate::budget::{BUSY, Budget, Fault, PRESSED};
use crate::levels::Rank;
use crate::slot::Slot;
use crate::sync::{AtomicBool, AtomicU16, AtomicU64, Mutex, MutexGuard};

/// Who is late where the others fail no more than this is so for itself.
const ALONE: f64 = 0.01;
/// Where the others cannot bear what is out, one comes back at a time: what it takes from them shows by then.
const ONE_BY_ONE: Duration = Duration::from_secs(1);

/// The endpoints that are out.
#[derive(Debug)]
pub(crate) struct Ledger {
    inner: Mutex<Inner>,
    /// The earliest `due`, for picks to read.
    next_due: AtomicU64,
    /// Whether [`Inner::trouble`] is above 0.
    troubled: AtomicBool,
    /// Whether somebody is out who would bear a part of their share.
    has_help: AtomicBool,
    /// Whether somebody has to come back for a worse one.
    has_yielding: AtomicBool,
    /// The bits of the first rank that there is.
    first: AtomicU16,
    /// How often somebody has gone out or come back, or taken a step of that.
    changes: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    budget: Budget,
    /// The share of failures in the middle of the pool.
    trouble: f64,
    out: Vec<Out>,
    /// Who yields and has not been told yet.
    yielding: Vec<Yielding>,
    /// When somebody was last let back for their peers.
    helped_at: Instant,
}

#[derive(Debug)]
struct Out {
    slot: Weak<Slot>,
    rank: Rank,
    /// When a pick should look after it: to probe it, or to ask its signals again.
    due: Instant,
    by_hand: bool,
    /// Of whoever a rule threw out.
    fault: Option<Fault>,
    /// Its place is a worse one's, and it is about to come back.
    yields: bool,
}

/// Who comes back for a worse one, and the share that this one fails.
type Yielding = (Weak<Slot>, f64);

impl Out {
    /// From how many times what answers take at ease it is better in than out.
    fn bearable(&self) -> f64 {
        self.fault.map_or(f64::INFINITY, Fault::bearable)
    }

    fn is(&self, slot: &Arc<Slot>) -> bool {
        std::ptr::eq(self.slot.as_ptr(), Arc::as_ptr(slot))
    }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                budget: Budget::default(),
                trouble: 0.0,
                out: Vec::new(),
                yielding: Vec::new(),
                helped_at: Instant::ORIGIN,
            }),
            next_due: AtomicU64::new(Instant::NEVER.as_nanos()),
            troubled: AtomicBool::new(false),
            has_help: AtomicBool::new(false),
            has_yielding: AtomicBool::new(false),
            first: AtomicU16::new(0),
            changes: AtomicU64::new(0),
        }
    }

    /// Takes `slot` out if the budget bears it; says what forbids it if not. For a fault of its own, if it is no other's word.
    ///
    /// Where the budget is full and somebody is out who is clearly better, that one yields its place ([`Ledger::take_yielding`]).
    /// Not for one that is late where `late_are_shunned`: it is asked for next to nothing as it is.
    pub(crate) fn eject(
        &self,
        slot: &Arc<Slot>,
        fault: Option<Fault>,
        late_are_shunned: bool,
    ) -> Result<(), &'static str> {
        let mut inner = self.lock();
        if !slot.is_member() {
            return Ok(());
        }
        match inner.out.iter().find(|out| out.is(slot)) {
            Some(out) if out.yields => return Err("max_ejected"),
            Some(_) => return Ok(()),
            None => {}
        }
        let slowdown = slot.peers().slowdown();
        let better = match inner.refuses(None, slot.rank(), fault, slowdown) {
            None => None,
            Some("max_ejected") if !(late_are_shunned && fault == Some(Fault::Late)) => {
                let better = inner.better(slot.rank(), fault, slowdown);
                Some(better.ok_or("max_ejected")?)
            }
            Some(why) => return Err(why),
        };
        if let Some(better) = better {
            inner.give_way(better, fault);
        }
        inner.set(slot, Instant::NEVER, false, fault);
        self.tell(&inner);
        Ok(())
    }

    /// Whether somebody has to come back for a worse one.
    #[inline]
    pub(crate) fn has_yielding(&self) -> bool {
        self.has_yielding.load(Ordering::Relaxed)
    }

    /// An endpoint that has to come back for a worse one, and the share that this one fails; nobody else is given it.
    #[cold]
    pub(crate) fn take_yielding(&self) -> Option<(Arc<Slot>, f64)> {
        let mut inner = self.lock();
        let taken = std::iter::from_fn(|| inner.yielding.pop())
            .find_map(|(slot, worse)| Some((slot.upgrade()?, worse)));
        self.tell(&inner);
        taken
    }

    /// Enters `slot` as out, whatever the budget, or sets when it is due.
    pub(crate) fn set(&self, slot: &Arc<Slot>, due: Instant, by_hand: bool, fault: Option<Fault>) {
        let mut inner = self.lock();
        if slot.is_member() {
            inner.set(slot, due, by_hand, fault);
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

    /// The pool has this budget from now on. Who is out may be of another rank than before.
    pub(crate) fn resize(&self, budget: Budget) {
        let first = budget.first().unwrap_or_default();
        self.first.store(first.to_bits(), Ordering::Relaxed);
        let mut inner = self.lock();
        inner.budget = budget;
        for out in &mut inner.out {
            if let Some(slot) = out.slot.upgrade() {
                out.rank = slot.rank();
            }
        }
    }

    /// Whether an endpoint of this rank is on the first level.
    pub(crate) fn is_first(&self, rank: Rank) -> bool {
        rank.to_bits() == self.first.load(Ordering::Relaxed)
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

    /// The endpoint that should come back first because the budget is overdrawn, if it is: whoever fails the least, and of
    /// those that fail all, or are late, whoever would be probed first.
    pub(crate) fn overdrawn(&self) -> Option<Arc<Slot>> {
        let inner = self.lock();
        let by_rule = || inner.counted(None).filter(|out| !out.by_hand);
        let ranks = by_rule().map(|out| out.rank);
        let beyond = inner.budget.overdrawn_by(ranks, inner.trouble);
        let back = by_rule().filter(|out| beyond.contains(&out.rank));
        let first = back.min_by(|one, other| {
            let by_fault = one.bearable().total_cmp(&other.bearable());
            by_fault.then(one.due.cmp(&other.due))
        });
        first.and_then(|out| out.slot.upgrade())
    }

    /// Whether somebody is out who would bear a part of their share.
    #[inline]
    pub(crate) fn has_help(&self) -> bool {
        self.has_help.load(Ordering::Relaxed)
    }

    /// The endpoint that should come back because the others, whose answers take so many times what they do at ease, cannot
    /// bear its share, and how many these are.
    pub(crate) fn helper(&self, slowdown: f64, now: Instant) -> Option<(Arc<Slot>, u64)> {
        let mut inner = self.lock();
        let out = inner.counted(None);
        let can_come = out.filter_map(|out| Some((out.fault?, out.slot.upgrade()?)));
        let (fault, slot) = can_come.min_by(|(one, _), (other, _)| {
            let bearable = [one, other].map(|fault| fault.bearable());
            bearable[0].total_cmp(&bearable[1])
        })?;
        let is_time = now >= inner.helped_at.saturating_add(ONE_BY_ONE);
        if !is_time || slowdown <= fault.bearable() {
            return None;
        }
        let others = inner.budget.members().saturating_sub(inner.out.len());
        inner.helped_at = now;
        Some((slot, others as u64))
    }

    /// How many are out.
    pub(crate) fn out(&self) -> usize {
        self.lock().out.len()
    }

    /// How many may be out at once.
    pub(crate) fn allowed(&self) -> usize {
        self.lock().allowed()
    }

    /// Another number whenever somebody may have gone out or come back, or taken a step of that.
    #[inline]
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Somebody bears another share than before.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn tell(&self, inner: &Inner) {
        self.changed();
        let bears = |fault: Fault| fault.bearable().is_finite();
        let helps = |out: &Out| out.fault.is_some_and(bears);
        (self.has_help).store(inner.out.iter().any(helps), Ordering::Relaxed);
        (self.has_yielding).store(!inner.yielding.is_empty(), Ordering::Relaxed);
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
        self.budget.allowed(self.trouble)
    }

    /// Who takes room in the budget, but for this one.
    fn counted(&self, without: Option<usize>) -> impl Iterator<Item = &Out> {
        let out = self.out.iter().enumerate();
        let counted = out.filter(move |(index, out)| !out.yields && Some(*index) != without);
        counted.map(|(_, out)| out)
    }

    /// What forbids that one of this rank goes out for this, were that one not out; where answers take so many times what they do at
    /// ease.
    fn refuses(
        &self,
        without: Option<usize>,
        rank: Rank,
        fault: Option<Fault>,
        slowdown: f64,
    ) -> Option<&'static str> {
        let bears = |trouble| {
            let out = self.counted(without).map(|out| out.rank);
            self.budget.bears_one_more(rank, out, trouble)
        };
        if self.counted(without).count() + 1 >= self.budget.members() {
            return Some("last_endpoint");
        }
        if !bears(0.0) {
            return Some("max_ejected");
        }
        if !bears(self.trouble) {
            return Some("peers_fail");
        }
        let is_too_much = |fault| !self.can_do_without(fault, slowdown);
        fault.is_some_and(is_too_much).then_some("capacity")
    }

    /// The best of those whose place would be free for one of this rank that is clearly worse.
    fn better(&self, rank: Rank, fault: Option<Fault>, slowdown: f64) -> Option<usize> {
        // Who is late where the others are busy may be so for the share of whoever is out.
        if fault == Some(Fault::Late) && slowdown > BUSY {
            return None;
        }
        let out = self.out.iter().enumerate();
        let can_yield = out.filter(|(index, out)| {
            let is_better = out.fault.is_some_and(|it| it.is_clearly_better_than(fault));
            is_better
                && !(out.by_hand || out.yields)
                && self.refuses(Some(*index), rank, fault, slowdown).is_none()
        });
        let best =
            can_yield.min_by(|(_, one), (_, other)| one.bearable().total_cmp(&other.bearable()));
        best.map(|(index, _)| index)
    }

    fn give_way(&mut self, index: usize, worse: Option<Fault>) {
        if let Some(out) = self.out.get_mut(index) {
            out.yields = true;
            let fails = worse.map_or(1.0, Fault::share);
            self.yielding.push((Weak::clone(&out.slot), fails));
        }
    }

    /// Whether the others can bear the share of one more that is out for this, where answers take so many times what they do at ease.
    ///
    /// Who is late is no help. In a pool that is pressed and fails it is no worse than the others may be: of these no more go than
    /// leave the others what they are said to bear.
    fn can_do_without(&self, fault: Fault, slowdown: f64) -> bool {
        let out = self.counted(None).count();
        match fault {
            Fault::Failing(_) => slowdown <= fault.bearable(),
            Fault::Late => {
                slowdown <= PRESSED
                    || (out == 0 && self.trouble <= ALONE)
                    || self.budget.is_overprovisioned_for(out + 1)
            }
        }
    }

    fn position(&self, slot: &Arc<Slot>) -> Option<usize> {
        self.out.iter().position(|out| out.is(slot))
    }

    fn set(&mut self, slot: &Arc<Slot>, due: Instant, by_hand: bool, fault: Option<Fault>) {
        let of_old = self.out.iter_mut().find(|out| out.is(slot));
        // By hand, or by the word of others, it is out whatever its fault.
        let yields = of_old.as_ref().is_some_and(|old| old.yields) && fault.is_some();
        let entry = Out {
            slot: Arc::downgrade(slot),
            rank: slot.rank(),
            due,
            by_hand,
            fault,
            yields,
        };
        match of_old {
            Some(old) => *old = entry,
            None => self.out.push(entry),
        }
    }
}
