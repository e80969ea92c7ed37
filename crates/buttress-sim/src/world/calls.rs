//! The calls that are under way.

use std::time::Duration;

use buttress_core::clock::Instant;

/// A call under way, or one that was: its place is used again, and the reference is not. A router that
/// fails over makes further attempts of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRef {
    place: usize,
    entry: u64,
    attempt: u32,
}

impl CallRef {
    /// Its number among those under way.
    pub(super) const fn place(self) -> usize {
        self.place
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) router: usize,
    pub(super) host: usize,
    /// When this attempt was made.
    pub(super) sent: Instant,
    /// How long a host works on it that is well.
    pub(super) work: Duration,
    /// Who waits for it; nobody for a copy.
    pub(super) client: Option<Client>,
}

/// Who waits for a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) came: Instant,
    /// How often it has asked before.
    pub(super) asked: u32,
    /// How much work it brings, as often as it asks.
    pub(super) work: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Each with the reference that is good for it.
    places: Vec<Option<(CallRef, Call)>>,
    free: Vec<usize>,
    entries: u64,
}

impl Calls {
    pub(super) fn enter(&mut self, call: Call) -> CallRef {
        self.entries += 1;
        let reference = CallRef {
            place: self.free.pop().unwrap_or(self.places.len()),
            entry: self.entries,
            attempt: 0,
        };
        match self.places.get_mut(reference.place) {
            Some(free) => *free = Some((reference, call)),
            None => self.places.push(Some((reference, call))),
        }
        reference
    }

    pub(super) fn get(&self, call: CallRef) -> Option<&Call> {
        match self.places.get(call.place) {
            Some(Some((good, under_way))) if *good == call => Some(under_way),
            _ => None,
        }
    }

    /// The attempt that is under way of a call of which `call` was one.
    pub(super) fn present(&self, call: CallRef) -> Option<CallRef> {
        let present = self.at(call.place)?;
        (present.entry == call.entry).then_some(present)
    }

    /// The call that is under way at this place.
    pub(super) fn at(&self, place: usize) -> Option<CallRef> {
        Some(self.places.get(place)?.as_ref()?.0)
    }

    /// The call has gone to this host.
    pub(super) fn sent_to(&mut self, call: CallRef, host: usize) {
        if let Some((_, call)) = self.places.get_mut(call.place).and_then(Option::as_mut) {
            call.host = host;
        }
    }

    /// The call has begun another attempt.
    pub(super) fn again(&mut self, call: CallRef, host: usize, now: Instant) -> CallRef {
        let attempt = call.attempt + 1;
        let next = CallRef { attempt, ..call };
        if let Some((good, call)) = self.places.get_mut(call.place).and_then(Option::as_mut) {
            (*good, call.host, call.sent) = (next, host, now);
        }
        next
    }

    /// Takes a call out that is under way.
    pub(super) fn leave(&mut self, call: CallRef) -> Option<Call> {
        let left = *self.get(call)?;
        *self.places.get_mut(call.place)? = None;
        self.free.push(call.place);
        Some(left)
    }
}
