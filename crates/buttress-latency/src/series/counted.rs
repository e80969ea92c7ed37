//! How many exchanges of a group are under way.
//!
//! One under way is a reference, so the gauge is their number: it costs nothing beside the reference, and
//! cannot leak. Each thread takes its references in a place of its own, because a count that two
//! threads write to costs each of them more than all the rest of a call.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::Group;
use crate::recorder::{Mine, Striped};

/// A group, and the exchanges that are under way in it.
pub(crate) struct Counted {
    group: Arc<Group>,
    places: Striped<Place>,
}

/// An exchange under way. It may end on any thread.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Seat>);

#[derive(Default)]
struct Place(OnceLock<Arc<Seat>>);

/// What exchanges of one thread refer to. Their number is on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Seat(Arc<Group>);

impl Counted {
    pub(super) fn new(group: Group) -> Self {
        Self {
            group: Arc::new(group),
            places: Striped::new(),
        }
    }

    /// An exchange begins.
    #[inline]
    pub(crate) fn begin(&self) -> UnderWay {
        let (Mine::Own(Place(seat)) | Mine::Shared(Place(seat))) = self.places.mine();
        let seat = seat.get_or_init(|| Arc::new(Seat(Arc::clone(&self.group))));
        UnderWay(Arc::clone(seat))
    }

    /// How many exchanges have begun and not ended: all references but the places' own.
    pub(crate) fn in_flight(&self) -> u64 {
        let seats = self.places.all().filter_map(|Place(seat)| seat.get());
        seats
            .map(|seat| Arc::strong_count(seat).saturating_sub(1) as u64)
            .sum()
    }
}

impl Deref for Counted {
    type Target = Group;

    #[inline]
    fn deref(&self) -> &Group {
        &self.group
    }
}

impl Deref for UnderWay {
    type Target = Group;

    #[inline]
    fn deref(&self) -> &Group {
        &self.0.0
    }
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.group.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::series::{Kind, Registry};

    #[test]
    fn exchanges_are_in_flight_wherever_they_begin_and_end() {
        let registry = Registry::new(Config::new());
        let route = registry.route("r");
        let group = route.group(Kind::Plain);
        let mut under_way: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..40)
                .map(|_| scope.spawn(|| [group.begin(), group.begin()]))
                .collect();
            let begun = threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            begun.collect()
        });
        under_way.push(group.begin());
        assert_eq!(group.in_flight(), 81);
        under_way.truncate(7);
        assert_eq!(group.in_flight(), 7);
        drop(under_way);
        assert_eq!(group.in_flight(), 0);
    }

    #[test]
    fn what_two_threads_count_is_not_on_one_cache_line() {
        let registry = Registry::new(Config::new());
        let route = registry.route("r");
        let group = route.group(Kind::Plain);
        let (mine, here) = (group.begin(), group.begin());
        assert!(Arc::ptr_eq(&mine.0, &here.0), "one place for one thread");
        let other = std::thread::scope(|scope| scope.spawn(|| group.begin()).join().unwrap());
        assert!(!Arc::ptr_eq(&mine.0, &other.0));
        assert_eq!(align_of::<Seat>(), 128);
    }
}
