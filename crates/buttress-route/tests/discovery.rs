//! Where endpoints come from: what a source says is taken over, and what it fails to say changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

#[path = "discovery/file.rs"]
mod file;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
#[cfg(feature = "tower")]
use std::task::Poll;
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::events::{Received, Subscription};
use buttress_core::metric::{Collect, Value};
use buttress_route::discover::{
    Discovery, DiscoveryChange, DiscoveryEvent, Node, Source, SourceError,
};
use buttress_route::{EndpointState, RouterHandle};
use common::{Backend, Mode, Tasks, World, ok_after};

/// Says what it is told to, once a second; nothing where nothing is left.
struct Script(VecDeque<Result<Vec<Node>, SourceError>>);

impl Script {
    fn new(answers: &[&str]) -> Self {
        let answer = |answer: &&str| match *answer {
            "panic" | "fail" => Err(SourceError::new(*answer)),
            ids => Ok(ids.split_whitespace().map(Node::new).collect()),
        };
        Self(answers.iter().map(answer).collect())
    }
}

impl Source for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    async fn next(&mut self, _: &Clock) -> Result<Vec<Node>, SourceError> {
        match self.0.pop_front() {
            Some(Err(error)) if &**error.problem() == "panic" => panic!("in the source"),
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

/// A pool on a manual clock whose endpoints come from a source, and what was made for it.
struct Discovered {
    world: World,
    tasks: Tasks,
    made: Arc<Mutex<Vec<String>>>,
    discovery: Discovery,
    events: Subscription<DiscoveryEvent>,
}

impl Discovered {
    fn from(source: impl Source) -> Self {
        Self::with(World::new(&[]), source)
    }

    fn with(world: World, source: impl Source) -> Self {
        let (tasks, made) = (Tasks::default(), Arc::default());
        let discovery = discover(&world, source, &tasks, &made);
        let events = discovery.subscribe();
        tasks.run();
        Self {
            world,
            tasks,
            made,
            discovery,
            events,
        }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.time.advance(Duration::from_secs(1));
            self.tasks.run();
        }
    }

    fn ids(&self) -> Vec<String> {
        ids(&self.world.handle())
    }

    fn made(&self) -> Vec<String> {
        self.made.lock().unwrap().clone()
    }

    fn told(&mut self) -> Vec<DiscoveryChange> {
        let next = || match self.events.try_recv() {
            Some(Received::Event(event)) => Some(event.change),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }
}

fn discover(
    world: &World,
    source: impl Source,
    tasks: &Tasks,
    made: &Arc<Mutex<Vec<String>>>,
) -> Discovery {
    let (into, time) = (Arc::clone(made), world.time.clone());
    let make = move |node: &Node| {
        into.lock().unwrap().push(node.id().to_string());
        node.endpoint(Backend::new(&time, ok_after(1)))
    };
    world
        .handle()
        .discover(source, make, &tasks.spawn())
        .unwrap()
}

fn ids_of(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn ids(handle: &RouterHandle<Backend>) -> Vec<String> {
    let endpoints = handle.snapshot().endpoints;
    endpoints.iter().map(|it| it.id.to_string()).collect()
}

#[test]
fn who_is_in_the_pool_before_the_source_speaks_is_kept_and_counted_as_one_who_stays() {
    let world = World::new(&[ok_after(1), ok_after(1)]);
    let mut pool = Discovered::with(world, Script::new(&["0 1", "1 2"]));
    assert!(pool.told().is_empty(), "the source says what is so");
    pool.pass(1);
    assert_eq!((pool.ids(), pool.made()), (ids_of("1 2"), ids_of("2")));
    let updated = DiscoveryChange::Updated {
        joined: 1,
        left: 1,
        endpoints: 2,
    };
    assert_eq!(pool.told(), [updated]);
    let told = pool.discovery.snapshot();
    assert_eq!((told.changed, told.unchanged), (1, 1));
}

#[test]
fn who_stays_is_not_made_anew_and_keeps_its_statistics() {
    let mut pool = Discovered::from(Script::new(&["a", "a b", "b a", "a"]));
    pool.world.one_by_one(10);
    let before = pool.world.handle().snapshot().endpoints[0].picks;
    pool.pass(3);
    assert_eq!(pool.made(), ["a", "b"]);
    assert_eq!(pool.ids(), ["a"]);
    assert_eq!(before, 10);
    assert_eq!(pool.world.handle().snapshot().endpoints[0].picks, before);
    let told = pool.discovery.snapshot();
    assert_eq!((told.changed, told.unchanged, told.refused), (3, 1, 0));
}

#[test]
fn a_source_that_fails_says_nobody_or_panics_leaves_the_pool_as_it_is_and_is_asked_again() {
    let answers = ["a b", "fail", "fail", "", "panic", "a b", "a"];
    let mut pool = Discovered::from(Script::new(&answers));
    pool.pass(5);
    assert_eq!(pool.ids(), ["a", "b"]);
    assert_eq!(pool.discovery.snapshot().refused, 4);
    let refused = pool.told().len();
    assert_eq!(refused, 5, "the first set, three problems, and their end");
    pool.pass(1);
    assert_eq!(pool.ids(), ["a"]);
}

#[test]
fn an_endpoint_that_comes_back_goes_on_where_it_was() {
    let answers = ["a b c", "b c", "a b c"];
    let mut pool = Discovered::from(Script::new(&answers));
    pool.world.handle().eject("a");
    pool.world.one_by_one(30);
    let before = pool.world.handle().snapshot();
    pool.pass(2);
    assert_eq!(pool.ids(), ["a", "b", "c"]);
    let after = pool.world.handle().snapshot();
    assert_eq!(after.endpoints[0].state, EndpointState::ForcedOut);
    assert_eq!(after.endpoints[0].ejections, before.endpoints[0].ejections);
    // It is out, and not only called so.
    assert_eq!(pool.world.one_by_one(30).ok.get("a"), None);
    pool.world.handle().restore("a");
    assert!(
        pool.world
            .load(2, Duration::from_secs(1))
            .ok
            .contains_key("a")
    );
}

#[test]
fn an_endpoint_that_left_while_it_was_ejected_is_probed_when_it_is_back() {
    let mut world = World::new(&[Mode::Refuse, ok_after(1), ok_after(1)]);
    world.load(2, Duration::from_millis(200));
    let all: Vec<_> = world
        .backends
        .iter()
        .enumerate()
        .map(common::endpoint)
        .collect();
    let state = |world: &World| world.handle().snapshot().endpoint("0").unwrap().state;
    assert_eq!(state(&world), EndpointState::Ejected);
    world.handle().update(all[1..].iter().cloned()).unwrap();
    world.backends[0].set(ok_after(1));
    world.load(1, Duration::from_secs(1));
    world.handle().update(all.iter().cloned()).unwrap();
    assert_eq!(state(&world), EndpointState::Ejected);
    world.load(2, Duration::from_secs(10));
    assert_eq!(state(&world), EndpointState::Active);
}

#[test]
fn who_has_left_for_too_long_is_somebody_new() {
    let world = World::with(&[ok_after(1), ok_after(1)], |config| {
        config.remember(Duration::from_secs(60))
    });
    let all: Vec<_> = world
        .backends
        .iter()
        .enumerate()
        .map(common::endpoint)
        .collect();
    let picks = || {
        world
            .handle()
            .snapshot()
            .endpoint("0")
            .unwrap()
            .ejections
            .clone()
    };
    world.handle().eject("0");
    for (away, ejections) in [(59, 1), (60, 0)] {
        world.handle().update(all[1..].iter().cloned()).unwrap();
        world.time.advance(Duration::from_secs(away));
        world.handle().update(all.iter().cloned()).unwrap();
        let counted: u64 = picks().iter().map(|rule| rule.1).sum();
        assert_eq!(counted, ejections, "after {away} s");
    }
}

#[test]
fn the_task_ends_with_the_pool_with_another_source_and_by_hand() {
    let mut pool = Discovered::from(Script::new(&["a"]));
    assert_eq!(pool.tasks.live(), 1);
    let other = Script::new(&["b"]);
    let discovery = discover(&pool.world, other, &pool.tasks, &pool.made);
    pool.tasks.run();
    assert_eq!((pool.tasks.live(), pool.ids()), (1, vec!["b".to_owned()]));
    discovery.stop();
    pool.tasks.run();
    assert_eq!((pool.tasks.live(), pool.ids()), (0, vec!["b".to_owned()]));

    let third = Script::new(&["c"]);
    discover(&pool.world, third, &pool.tasks, &pool.made);
    pool.pass(1);
    assert_eq!((pool.tasks.live(), pool.ids()), (1, vec!["c".to_owned()]));
    let Discovered { world, tasks, .. } = pool;
    drop(world);
    tasks.run();
    assert_eq!(tasks.live(), 0);
}

#[test]
fn what_a_source_answers_is_counted_in_the_metrics() {
    let mut pool = Discovered::from(Script::new(&["a b", "a b", "fail"]));
    pool.pass(2);
    let mut families = Vec::new();
    pool.discovery.collect(&mut families);
    let points: Vec<_> = families
        .iter()
        .flat_map(|family| &family.points)
        .map(|point| point.value.clone())
        .collect();
    let one = Value::Counter(1);
    let (endpoints, failing) = (Value::Gauge(2.0), Value::Gauge(1.0));
    let all = [one.clone(), one.clone(), one, endpoints, failing];
    assert_eq!(points, all);
}

#[cfg(feature = "tower")]
mod tower_discover {
    use std::pin::Pin;
    use std::task::Context;

    use tower::discover::Change;

    use super::*;

    type Item = Result<Change<String, Backend>, &'static str>;

    /// A stream of what is put into it.
    #[derive(Clone, Default)]
    struct Changes(Arc<Mutex<VecDeque<Option<Item>>>>);

    impl Changes {
        fn put(&self, item: Option<Item>) {
            self.0.lock().unwrap().push_back(item);
        }
    }

    impl futures_core::Stream for Changes {
        type Item = Item;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Item>> {
            // Whoever runs the tasks polls them again and again.
            self.0
                .lock()
                .unwrap()
                .pop_front()
                .map_or(Poll::Pending, Poll::Ready)
        }
    }

    #[test]
    fn services_of_a_tower_stream_come_and_go() {
        let (mut world, tasks, changes) = (World::new(&[]), Tasks::default(), Changes::default());
        let insert =
            |id: &str| Change::Insert(id.to_owned(), Backend::new(&world.time, ok_after(1)));
        let discovery = world
            .handle()
            .discover_stream(changes.clone(), &tasks.spawn())
            .unwrap();
        changes.put(Some(Ok(insert("a"))));
        changes.put(Some(Ok(insert("b"))));
        tasks.run();
        assert_eq!(ids(&world.handle()), ["a", "b"]);
        assert_eq!(discovery.snapshot().changed, 1, "taken over together");
        assert_eq!(world.one_by_one(10).total_ok(), 10);

        changes.put(Some(Err("away")));
        tasks.run();
        assert_eq!(&**discovery.snapshot().problem.unwrap().problem(), "away");
        changes.put(Some(Ok(Change::Remove("a".to_owned()))));
        world.time.advance(Duration::from_secs(1));
        tasks.run();
        assert_eq!(ids(&world.handle()), ["b"]);

        changes.put(None);
        tasks.run();
        assert_eq!(
            (tasks.live(), ids(&world.handle())),
            (0, vec!["b".to_owned()])
        );
    }

    #[test]
    fn the_task_of_a_stream_ends_with_the_pool() {
        let (world, tasks) = (World::new(&[]), Tasks::default());
        world
            .handle()
            .discover_stream(Changes::default(), &tasks.spawn())
            .unwrap();
        tasks.run();
        assert_eq!(tasks.live(), 1);
        drop(world);
        tasks.run();
        assert_eq!(tasks.live(), 0);
    }
}
