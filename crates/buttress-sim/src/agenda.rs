//! What will happen, in order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use buttress_core::clock::Instant;

/// Events by their time; those of one moment in the order in which they were entered, so that a run
/// is the same whenever its seed is.
#[derive(Debug)]
pub struct Agenda<E> {
    entries: BinaryHeap<Entry<E>>,
    entered: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Instant,
    place: u64,
    event: E,
}

impl<E> Agenda<E> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            entries: BinaryHeap::new(),
            entered: 0,
        }
    }

    /// Enters `event` for `at`.
    pub fn enter(&mut self, at: Instant, event: E) {
        self.entered += 1;
        let place = self.entered;
        self.entries.push(Entry { at, place, event });
    }

    /// What happens next, and when.
    pub fn take_next(&mut self) -> Option<(Instant, E)> {
        self.entries.pop().map(|entry| (entry.at, entry.event))
    }
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Ord for Entry<E> {
    // The heap gives its greatest first, and the next event is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.place).cmp(&(self.at, self.place))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_those_of_one_moment_as_entered() {
        let mut agenda = Agenda::new();
        for (at, event) in [(2, 'c'), (1, 'a'), (2, 'd'), (1, 'b'), (3, 'e')] {
            agenda.enter(Instant::from_nanos(at), event);
        }
        let order: String = std::iter::from_fn(|| agenda.take_next())
            .map(|it| it.1)
            .collect();
        assert_eq!(order, "abcde");
    }
}
