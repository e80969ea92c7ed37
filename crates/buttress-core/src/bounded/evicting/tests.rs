use super::*;
use std::sync::{Arc, Mutex};

const IDLE: Duration = Duration::from_secs(60);

/// May go, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thing(u32, bool);

impl MayGo for Thing {
    fn may_go(&self, _: Duration, _: &Limits, _: Instant) -> bool {
        self.1
    }
}

struct World {
    map: Evicting<u32, Thing>,
    gone: Arc<Mutex<Vec<u32>>>,
    now: Instant,
}

impl World {
    fn new(cap: usize) -> Self {
        let gone = Arc::<Mutex<Vec<u32>>>::default();
        let into = Arc::clone(&gone);
        let limits = Limits::default().cap(cap).idle_after(IDLE);
        Self {
            map: Evicting::new(limits, Thing(u32::MAX, false), move |thing: Thing| {
                into.lock().unwrap().push(thing.0);
            }),
            gone,
            now: Instant::from_nanos(1),
        }
    }

    fn ask(&self, key: u32, may_go: bool) -> u32 {
        let made = |key: &u32| Thing(*key, may_go);
        self.map.get_or_insert_with(key, || self.now, made).0
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    fn gone(&self) -> Vec<u32> {
        let mut gone = self.gone.lock().unwrap().clone();
        gone.sort_unstable();
        gone
    }
}

#[test]
fn a_million_keys_leave_the_map_at_its_cap_and_are_counted() {
    let world = World::new(10);
    let own = (0..1_000_000).filter(|key| world.ask(*key, true) == *key);
    assert_eq!(own.count(), 10);
    assert_eq!((world.map.len(), world.map.entries().len()), (10, 10));
    assert_eq!(world.map.overflowed(), 999_990);
}

#[test]
fn what_idles_and_may_go_makes_room_and_what_may_not_stays() {
    let mut world = World::new(100);
    (0..100).for_each(|key| assert_eq!(world.ask(key, key % 2 == 0), key));
    world.pass(IDLE);
    // Each new key looks after one shard more; none of them knows which.
    for key in 1_000..2_000 {
        world.ask(key, false);
    }
    assert_eq!(world.gone(), (0..100).step_by(2).collect::<Vec<_>>());
    assert_eq!((world.map.len(), world.map.evicted()), (100, 50));
    assert!((1..100).step_by(2).all(|key| world.map.get(key).is_some()));
}

#[test]
fn what_is_asked_for_stays_for_its_whole_time_and_no_quarter_more() {
    let mut world = World::new(100);
    world.ask(1, true);
    world.pass(IDLE);
    world.ask(1, true);
    world.map.sweep(world.now);
    world.pass(IDLE.saturating_sub(Duration::from_nanos(1)));
    world.map.sweep(world.now);
    assert_eq!(world.gone(), Vec::<u32>::new());
    world.pass(Duration::from_nanos(1));
    world.map.sweep(world.now);
    assert_eq!(world.gone(), [1]);
    assert!(world.map.is_empty());
}

#[test]
fn a_reader_of_all_entries_keeps_none_of_them() {
    let mut world = World::new(100);
    world.ask(1, true);
    world.pass(IDLE);
    assert_eq!(world.map.entries(), [(1, Thing(1, true))]);
    world.map.sweep(world.now);
    assert_eq!(world.gone(), [1]);
}

#[test]
fn one_that_cannot_be_made_takes_no_room() {
    let world = World::new(1);
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world
            .map
            .get_or_insert_with(1, || world.now, |_| panic!("in make"))
    }));
    assert!(made.is_err());
    assert_eq!(world.map.len(), 0);
    assert_eq!(world.ask(2, true), 2);
}

#[test]
fn threads_that_bring_new_keys_at_once_never_pass_the_cap_or_split_an_entry() {
    let world = World::new(50);
    let fill = || {
        (0..100)
            .filter(|key| world.ask(*key, false) == *key)
            .count()
    };
    let own: usize = std::thread::scope(|scope| {
        let racers = [scope.spawn(fill), scope.spawn(fill)];
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    assert_eq!((world.map.len(), world.map.entries().len()), (50, 50));
    assert_eq!(own as u64 + world.map.overflowed(), 200);
}

#[test]
fn limits_that_make_no_sense_are_refused_by_name() {
    let cases = [
        (Limits::default().cap(0), "limits.cap"),
        (
            Limits::default().idle_after(Duration::ZERO),
            "limits.idle_after",
        ),
    ];
    for (limits, field) in cases {
        assert_eq!(limits.validate().unwrap_err().field(), field);
    }
    assert_eq!(Limits::default().validate(), Ok(()));
}

#[test]
fn what_goes_is_told_of_before_its_key_is_given_another() {
    let told = Arc::<Mutex<Vec<u32>>>::default();
    let into = Arc::clone(&told);
    let mut world = World::new(100);
    world.map = (world.map).on_going(move |key, thing, _| {
        assert_eq!(*key, thing.0);
        into.lock().unwrap().push(*key);
    });
    (0..4).for_each(|key| assert_eq!(world.ask(key, key % 2 == 0), key));
    world.pass(IDLE);
    world.map.sweep(world.now);
    let mut told = told.lock().unwrap().clone();
    told.sort_unstable();
    assert_eq!((told, world.gone()), (vec![0, 2], vec![0, 2]));
}
