//! Who is asked when, and what a row of answers says. Without I/O: `now` is passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use super::config::Checks;

/// The endpoints of a pool, and when each is asked next.
#[derive(Debug)]
pub(crate) struct Schedule {
    checks: Checks,
    entries: BTreeMap<Arc<str>, Entry>,
    /// Those that wait, the next one first.
    queue: BTreeSet<(Instant, Arc<str>)>,
    running: usize,
}

#[derive(Debug)]
struct Entry {
    /// `None` while a check runs.
    due: Option<Instant>,
    row: Row,
}

/// Answers of one kind in a row, and what the rows before have said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    /// Whether the endpoint is well, as soon as a row was long enough.
    said: Option<bool>,
    passed: bool,
    length: u32,
}

/// A row of answers was long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// So many checks have failed.
    Fell(u32),
    /// So many have passed; also of an endpoint of which nothing was said before.
    Rose(u32),
}

impl Schedule {
    pub(crate) const fn new(checks: Checks) -> Self {
        Self {
            checks,
            entries: BTreeMap::new(),
            queue: BTreeSet::new(),
            running: 0,
        }
    }

    /// The pool has these endpoints from now on. Who is new is asked within the interval of suspects.
    pub(crate) fn set(&mut self, ids: &BTreeSet<Arc<str>>, now: Instant, rng: &Rng) {
        let gone = |id: &Arc<str>| !ids.contains(id);
        self.entries.retain(|id, entry| {
            let goes = gone(id);
            if let (true, Some(due)) = (goes, entry.due) {
                self.queue.remove(&(due, Arc::clone(id)));
            }
            !goes
        });
        for id in ids {
            if !self.entries.contains_key(id) {
                let wait = self.checks.suspect_interval.mul_f64(rng.unit());
                let due = now.saturating_add(wait);
                self.queue.insert((due, Arc::clone(id)));
                let entry = Entry {
                    due: Some(due),
                    row: Row::default(),
                };
                self.entries.insert(Arc::clone(id), entry);
            }
        }
    }

    /// An endpoint whose check begins now, if one is due and there is room. It has to be told to
    /// [`Schedule::ended`].
    pub(crate) fn begin(&mut self, now: Instant) -> Option<Arc<str>> {
        if self.running >= self.checks.concurrency.get() {
            return None;
        }
        let (due, _) = self.queue.first()?;
        if *due > now {
            return None;
        }
        let (_, id) = self.queue.pop_first()?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.due = None;
        }
        self.running += 1;
        Some(id)
    }

    /// How long there is nothing to begin; `None` until a check ends or an endpoint joins.
    pub(crate) fn idle(&self, now: Instant) -> Option<Duration> {
        if self.running >= self.checks.concurrency.get() {
            return None;
        }
        let (due, _) = self.queue.first()?;
        Some(due.saturating_since(now))
    }

    /// A check has ended. `suspect` says that the pool has doubts of its own.
    pub(crate) fn ended(
        &mut self,
        id: &Arc<str>,
        passed: bool,
        suspect: bool,
        now: Instant,
        rng: &Rng,
    ) -> Option<Turn> {
        self.running = self.running.saturating_sub(1);
        let checks = &self.checks;
        // It may have left meanwhile.
        let entry = self.entries.get_mut(id)?;
        if entry.due.is_some() {
            // And come back.
            return None;
        }
        let turn = entry.row.see(passed, checks);
        let interval = if suspect || entry.row.is_unsure() {
            checks.suspect_interval
        } else {
            checks.interval
        };
        let spread = 1.0 + checks.jitter * (2.0 * rng.unit() - 1.0);
        let due = now.saturating_add(interval.mul_f64(spread));
        entry.due = Some(due);
        self.queue.insert((due, Arc::clone(id)));
        turn
    }
}

impl Row {
    fn see(&mut self, passed: bool, checks: &Checks) -> Option<Turn> {
        if passed != self.passed {
            (self.passed, self.length) = (passed, 0);
        }
        self.length = self.length.saturating_add(1);
        let (enough, turn) = if passed {
            (checks.rise, Turn::Rose(self.length))
        } else {
            (checks.fall, Turn::Fell(self.length))
        };
        let is_news = self.length >= enough.get() && self.said != Some(passed);
        is_news.then(|| {
            self.said = Some(passed);
            turn
        })
    }

    /// Whether it failed last, or what it says is not taken for granted yet.
    const fn is_unsure(self) -> bool {
        !matches!((self.said, self.passed), (Some(true), true))
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroUsize};

    use buttress_core::rng::Rng;
    use proptest::prelude::*;

    use super::*;

    fn ids(count: u8) -> BTreeSet<Arc<str>> {
        (0..count).map(|n| Arc::from(n.to_string())).collect()
    }

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    #[test]
    fn rows_of_answers_turn_it_and_shorter_ones_do_not() {
        let checks = Checks::default().rise(count(2)).fall(count(3));
        let mut row = Row::default();
        let mut seen = Vec::new();
        for (n, answer) in "++--+---+--+-++---".chars().enumerate() {
            if let Some(turn) = row.see(answer == '+', &checks) {
                seen.push((n, turn));
            }
        }
        let turns = [
            (1, Turn::Rose(2)),
            (7, Turn::Fell(3)),
            (14, Turn::Rose(2)),
            (17, Turn::Fell(3)),
        ];
        assert_eq!(seen, turns);
    }

    #[test]
    fn a_suspect_is_asked_sooner() {
        let (rng, id) = (Rng::seeded(1), Arc::from("0"));
        let mut schedule = Schedule::new(Checks::default().jitter(0.0));
        let now = Instant::ORIGIN.saturating_add(Duration::from_secs(10));
        schedule.set(&ids(1), Instant::ORIGIN, &rng);
        for (passed, suspect, wait) in [
            (true, false, 1),
            (true, false, 5),
            (true, true, 1),
            (false, false, 1),
            (false, false, 1),
            (true, false, 5),
        ] {
            schedule.begin(Instant::NEVER).unwrap();
            schedule.ended(&id, passed, suspect, now, &rng);
            assert_eq!(schedule.idle(now), Some(Duration::from_secs(wait)));
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Members(u8),
        Begin,
        End(usize, bool),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => (0..9_u8).prop_map(Step::Members),
            4 => Just(Step::Begin),
            4 => (0..4_usize, any::<bool>()).prop_map(|(which, passed)| Step::End(which, passed)),
            2 => (0..8_000_u64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn no_more_run_than_may_and_every_member_is_asked_in_time(
            steps in proptest::collection::vec(step(), 1..200),
        ) {
            let rng = Rng::seeded(7);
            let room = NonZeroUsize::new(4).unwrap();
            let checks = Checks::default().concurrency(room);
            let mut schedule = Schedule::new(checks);
            let (mut now, mut members) = (Instant::ORIGIN, ids(0));
            let mut running: Vec<Arc<str>> = Vec::new();
            for step in steps {
                match step {
                    Step::Members(n) => {
                        members = ids(n);
                        schedule.set(&members, now, &rng);
                    }
                    Step::Begin => if let Some(id) = schedule.begin(now) {
                        prop_assert!(members.contains(&id));
                        running.push(id);
                    },
                    Step::End(which, passed) if which < running.len() => {
                        let id = running.swap_remove(which);
                        schedule.ended(&id, passed, false, now, &rng);
                    }
                    Step::End(..) => {}
                    Step::Pass(ms) => now = now.saturating_add(Duration::from_millis(ms)),
                }
                prop_assert!(running.len() <= room.get());
            }
            // Whatever has happened: as soon as there is room, everybody's turn comes.
            for id in running.drain(..) {
                schedule.ended(&id, true, false, now, &rng);
            }
            now = now.saturating_add(checks.interval.mul_f64(1.2));
            let mut asked = BTreeSet::new();
            while let Some(id) = schedule.begin(now) {
                schedule.ended(&id, true, false, now.saturating_add(checks.interval), &rng);
                asked.insert(id);
            }
            prop_assert_eq!(asked, members);
        }
    }
}
