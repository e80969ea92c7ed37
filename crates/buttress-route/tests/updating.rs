//! While the list of endpoints is made, and while those that left it go, requests are sent on.
#![allow(clippy::unwrap_used, clippy::disallowed_types)]

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use buttress_core::clock::{Clock, ManualClock};
use buttress_core::outcome::Outcome;
use buttress_route::discover::{Node, Source, SourceError};
use buttress_route::{Config, Endpoint, HealthRouter, Policy};
use common::Tasks;

/// Where somebody else's code is held until it may go on.
#[derive(Clone)]
struct Gate(Arc<(Sender<()>, Mutex<Receiver<()>>)>);

/// Who tells when it is there, and lets it go on.
struct Keeper {
    there: Receiver<()>,
    go: Sender<()>,
}

fn gate() -> (Gate, Keeper) {
    let (is_there, there) = channel();
    let (go, may_go) = channel();
    (
        Gate(Arc::new((is_there, Mutex::new(may_go)))),
        Keeper { there, go },
    )
}

impl Gate {
    fn wait(&self) {
        self.0.0.send(()).unwrap();
        self.0.1.lock().unwrap().recv().unwrap();
    }
}

/// A service whose last clone takes its time to go.
#[derive(Clone)]
struct Slow(#[expect(dead_code, reason = "it is there to be dropped")] Option<Arc<Leaving>>);

struct Leaving(Gate);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.wait();
    }
}

fn router() -> HealthRouter<Slow> {
    let endpoints = ["a", "b"].map(|id| Endpoint::new(id, Slow(None)));
    let config = Config::default().policy(Policy::RoundRobin);
    HealthRouter::new(config.clock(ManualClock::new().clock()), endpoints).unwrap()
}

/// Requests go to these while somebody is held, who goes on afterwards.
fn sent_meanwhile(router: &HealthRouter<Slow>, keeper: &Keeper) -> Vec<String> {
    keeper.there.recv().unwrap();
    let sent = (0..100).map(|_| {
        let picked = router.try_acquire().unwrap();
        let id = picked.id().to_string();
        picked.record(Outcome::Success);
        id
    });
    let mut sent: Vec<String> = sent.collect();
    sent.sort();
    sent.dedup();
    keeper.go.send(()).unwrap();
    sent
}

fn known(router: &HealthRouter<Slow>) -> Vec<String> {
    let endpoints = router.handle().snapshot().endpoints;
    endpoints.iter().map(|it| it.id.to_string()).collect()
}

#[test]
fn while_an_endpoint_of_a_new_list_is_not_made_yet_requests_go_to_those_of_the_old() {
    let (router, (gate, keeper)) = (router(), gate());
    thread::scope(|scope| {
        scope.spawn(|| {
            let made = ["b", "c"].into_iter().map(|id| {
                if id == "c" {
                    gate.wait();
                }
                Endpoint::new(id, Slow(None))
            });
            router.handle().update(made).unwrap();
        });
        assert_eq!(sent_meanwhile(&router, &keeper), ["a", "b"]);
    });
    assert_eq!(known(&router), ["b", "c"]);
}

/// Says once that these are there.
struct Once(Option<Vec<Node>>);

impl Source for Once {
    fn name(&self) -> &'static str {
        "once"
    }

    async fn next(&mut self, _: &Clock) -> Result<Vec<Node>, SourceError> {
        match self.0.take() {
            Some(nodes) => Ok(nodes),
            None => std::future::pending().await,
        }
    }
}

#[test]
fn while_discovery_makes_an_endpoint_requests_go_to_those_that_are_there() {
    let (router, tasks, (gate, keeper)) = (router(), Tasks::default(), gate());
    let source = Once(Some(["b", "c"].map(Node::new).into()));
    let make = move |node: &Node| {
        gate.wait();
        node.endpoint(Slow(None))
    };
    let handle = router.handle();
    let _discovery = handle.discover(source, make, &tasks.spawn()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| tasks.run());
        assert_eq!(sent_meanwhile(&router, &keeper), ["a", "b"]);
    });
    assert_eq!(known(&router), ["b", "c"]);
}

#[test]
fn while_a_service_that_left_takes_its_time_to_go_requests_go_on_and_lists_are_replaced() {
    let (router, (gate, keeper)) = (router(), gate());
    let leaves = Endpoint::new("a", Slow(Some(Arc::new(Leaving(gate)))));
    router.handle().update([leaves]).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let b = Endpoint::new("b", Slow(None));
            router.handle().update([b]).unwrap();
        });
        keeper.there.recv().unwrap();
        router
            .handle()
            .update([Endpoint::new("c", Slow(None))])
            .unwrap();
        assert_eq!(&**router.try_acquire().unwrap().id(), "c");
        keeper.go.send(()).unwrap();
    });
}
