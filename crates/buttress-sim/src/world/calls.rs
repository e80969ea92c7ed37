//! The calls that are under way.

use buttress_core::clock::Instant;

/// A call under way, or one that was: its place is used again, and the reference is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRef {
    place: usize,
    entry: u64,
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
    /// When its client came.
    pub(super) came: Instant,
    /// When this attempt was made.
    pub(super) sent: Instant,
    pub(super) attempt: u32,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    places: Vec<Option<(u64, Call)>>,
    free: Vec<usize>,
    entries: u64,
}

impl Calls {
    pub(super) fn enter(&mut self, call: Call) -> CallRef {
        self.entries += 1;
        let entry = self.entries;
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(free) => *free = Some((entry, call)),
            None => self.places.push(Some((entry, call))),
        }
        CallRef { place, entry }
    }

    pub(super) fn get(&self, call: CallRef) -> Option<&Call> {
        match self.places.get(call.place) {
            Some(Some((entry, under_way))) if *entry == call.entry => Some(under_way),
            _ => None,
        }
    }

    pub(super) fn sent_to(&mut self, call: CallRef, host: usize) {
        if let Some(Some((_, call))) = self.places.get_mut(call.place) {
            call.host = host;
        }
    }

    /// Takes a call out that is under way.
    pub(super) fn leave(&mut self, call: CallRef) -> Option<Call> {
        let left = *self.get(call)?;
        *self.places.get_mut(call.place)? = None;
        self.free.push(call.place);
        Some(left)
    }
}
