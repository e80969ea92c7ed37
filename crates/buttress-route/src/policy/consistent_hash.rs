//! The endpoint that a key belongs to: the nearest on a [`Ring`], with bounded loads.

use super::ring::Ring;
use super::room::{Room, has_room};
use crate::affinity::mix;
use crate::seat::Told;
use crate::view::View;

#[derive(Debug)]
pub(super) struct ConsistentHash {
    ring: Ring,
    room: Room,
    bound: f64,
}

impl ConsistentHash {
    pub(super) fn new(endpoints: &[Told], bound: f64) -> Self {
        Self {
            ring: Ring::new(endpoints),
            room: Room::default(),
            bound,
        }
    }

    /// Of those that `may_be`: without whom the key belonged to it belongs to the next.
    pub(super) fn pick(&self, view: &View<'_>, may_be: impl Fn(usize) -> bool) -> Option<usize> {
        let key = mix(view.key()?);
        let share = self.room.share(view, self.bound);
        let is_open = |index| may_be(index) && view.is_open(index);
        let has_room = |index| {
            let bears = view.bears(index);
            let has_room = bears.is_some_and(|(load, weight)| has_room(share, load, weight));
            has_room && is_open(index)
        };
        let home = self.ring.nearest(key, |_| true)?;
        if has_room(home) {
            return Some(home);
        }
        // Where what is in flight changed meanwhile there may be no room for a moment.
        let with_room = self.ring.nearest(key, has_room);
        with_room.or_else(|| self.ring.nearest(key, is_open))
    }
}
