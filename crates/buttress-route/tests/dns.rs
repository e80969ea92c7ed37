//! Endpoints as a name server names them: times to live are honoured, and what fails changes nothing.
#![cfg(feature = "dns")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;
#[path = "common/names.rs"]
mod names;

#[path = "dns/services.rs"]
mod services;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::events::{Received, Subscription};
use buttress_core::rng::Rng;
use buttress_core::spawn::Spawn;
use buttress_route::discover::{Discovery, DiscoveryChange, DiscoveryEvent, Dns, Node, Resolver};
use buttress_route::{EndpointSnapshot, RouterHandle};
use common::{Backend, World, ok_after};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, RecordType};
use names::{NameServer, Said, alias, record};
use tokio::task::yield_now;

const HOST: &str = "orders.test.";
const SERVICE: &str = "_http._tcp.orders.test.";

/// A pool on a manual clock whose endpoints a name server names.
struct Named {
    world: World,
    names: NameServer,
    made: Arc<Mutex<Vec<String>>>,
    discovery: Discovery,
    events: Subscription<DiscoveryEvent>,
    spawn: Spawn,
}

impl Named {
    /// After the first answer.
    async fn by(names: NameServer, dns: impl FnOnce(Resolver) -> Dns) -> Self {
        let named = Self::unasked(names, dns);
        named.until(|named| named.answers() >= 1).await;
        named
    }

    fn unasked(names: NameServer, dns: impl FnOnce(Resolver) -> Dns) -> Self {
        let (world, made) = (World::new(&[]), Arc::<Mutex<Vec<String>>>::default());
        let (into, time) = (Arc::clone(&made), world.time.clone());
        let make = move |node: &Node| {
            into.lock().unwrap().push(node.id().to_string());
            node.endpoint(Backend::new(&time, ok_after(1)))
        };
        let spawn = Spawn::current().unwrap();
        let dns = dns(Resolver::servers([names.address()]).unwrap()).rng(Rng::seeded(5));
        let discovery = world.handle().discover(dns, make, &spawn).unwrap();
        let events = discovery.subscribe();
        Self {
            world,
            names,
            made,
            discovery,
            events,
            spawn,
        }
    }

    /// Waits until that is so; without time passing on the pool's clock.
    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "{:?}", self.discovery.snapshot());
    }

    /// Lets time pass in steps so short that whoever waits goes on at the right one.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.world.time.advance(Duration::from_millis(250));
            for _ in 0..20 {
                yield_now().await;
            }
        }
    }

    /// Lets time pass until that is so, but no more than `seconds`.
    async fn pass_until(&self, seconds: u64, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..seconds {
            if is_so(self) {
                return;
            }
            self.pass(1).await;
        }
        // What is asked may still be under way.
        self.until(is_so).await;
    }

    /// How many answers there were, good or bad.
    fn answers(&self) -> u64 {
        let told = self.discovery.snapshot();
        told.changed + told.unchanged + told.refused
    }

    /// Lets time pass until the next answer.
    async fn next_answer(&self) {
        let before = self.answers();
        self.pass_until(120, |it| it.answers() > before).await;
    }

    fn endpoints(&self) -> Vec<EndpointSnapshot> {
        self.world.handle().snapshot().endpoints
    }

    fn ids(&self) -> Vec<String> {
        ids(&self.world.handle())
    }

    fn told(&mut self) -> Vec<DiscoveryChange> {
        let next = || match self.events.try_recv() {
            Some(Received::Event(event)) => Some(event.change),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    fn problem(&self) -> String {
        let problem = self.discovery.snapshot().problem;
        problem.map(|it| it.to_string()).unwrap_or_default()
    }
}

fn ids(handle: &RouterHandle<Backend>) -> Vec<String> {
    let endpoints = handle.snapshot().endpoints;
    endpoints.iter().map(|it| it.id.to_string()).collect()
}

async fn host(ttl: u32, addresses: &[&str]) -> NameServer {
    let names = NameServer::start().await;
    names.host(HOST, ttl, addresses);
    names
}

#[tokio::test]
async fn addresses_of_both_families_are_endpoints_and_a_change_moves_them_with_their_statistics() {
    let names = host(10, &["10.0.0.2", "fd00::1", "10.0.0.1"]).await;
    let mut named = Named::by(names, |it| it.addresses(HOST, 8080)).await;
    assert_eq!(
        named.ids(),
        ["10.0.0.1:8080", "10.0.0.2:8080", "[fd00::1]:8080"]
    );
    named.world.one_by_one(30);
    let before = named.endpoints()[1].picks;
    assert!(before > 0);

    // In another order, which is no news.
    named
        .names
        .host(HOST, 10, &["fd00::1", "10.0.0.1", "10.0.0.2"]);
    named.next_answer().await;
    assert_eq!(named.discovery.snapshot().unchanged, 1);

    named.names.host(HOST, 10, &["10.0.0.2", "10.0.0.3"]);
    named.next_answer().await;
    assert_eq!(named.ids(), ["10.0.0.2:8080", "10.0.0.3:8080"]);
    assert_eq!(named.endpoints()[0].picks, before);
    let (joined, left, endpoints) = (1, 2, 2);
    let updated = DiscoveryChange::Updated {
        joined,
        left,
        endpoints,
    };
    assert_eq!(named.told().pop(), Some(updated));
    let made = named.made.lock().unwrap().len();
    assert_eq!(made, 4, "who stays is made once");
}

#[tokio::test]
async fn it_is_asked_again_when_the_shortest_time_to_live_is_over_and_not_before() {
    let names = host(30, &["10.0.0.1"]).await;
    let address = record("other.test.", 300, RData::A("10.0.0.1".parse().unwrap()));
    let chain = vec![alias(HOST, 40, "other.test."), address];
    names.say(HOST, RecordType::A, Said::Records(chain));
    names.say(HOST, RecordType::AAAA, Said::Records(Vec::new()));
    let named = Named::by(names, |it| it.addresses(HOST, 80)).await;
    let asked = |named: &Named| named.names.asked(HOST, RecordType::A);
    named.pass(39).await;
    assert_eq!(asked(&named), 1);
    // A tenth of it by chance, and a second that every source is given.
    named.pass_until(6, |it| asked(it) == 2).await;
}

#[tokio::test]
async fn a_time_to_live_is_held_within_its_bounds() {
    for (ttl, earliest, latest) in [(0, 9, 13), (86_400, 20, 24)] {
        let names = host(ttl, &["10.0.0.1"]).await;
        let bounds = |it: Resolver| {
            let (shortest, longest) = (Duration::from_secs(10), Duration::from_secs(20));
            it.addresses(HOST, 80).shortest(shortest).longest(longest)
        };
        let named = Named::by(names, bounds).await;
        named.pass(earliest).await;
        assert_eq!(named.names.asked(HOST, RecordType::A), 1, "{ttl}");
        let again = |it: &Named| it.names.asked(HOST, RecordType::A) == 2;
        named.pass_until(latest - earliest, again).await;
    }
}

#[tokio::test]
async fn whatever_fails_changes_nothing_and_is_told_once_until_it_is_over() {
    let refused = [
        "SERVFAIL", "REFUSED", "NXDOMAIN", "nobody", "silence", "nonsense",
    ];
    for what in refused {
        let names = host(5, &["10.0.0.1", "fd00::1"]).await;
        let patience = Duration::from_secs(2);
        let mut named = Named::by(names, |it| it.addresses(HOST, 80).patience(patience)).await;
        named.told();
        let said = match what {
            "SERVFAIL" => Said::Code(ResponseCode::ServFail),
            "REFUSED" => Said::Code(ResponseCode::Refused),
            "NXDOMAIN" => Said::Code(ResponseCode::NXDomain),
            "nobody" => Said::Records(Vec::new()),
            "silence" => Said::Silence,
            _ => Said::Nonsense,
        };
        for of in [RecordType::A, RecordType::AAAA] {
            named.names.say(HOST, of, said.clone());
        }
        named
            .pass_until(120, |it| it.discovery.snapshot().refused >= 3)
            .await;
        assert_eq!(named.ids(), ["10.0.0.1:80", "[fd00::1]:80"], "{what}");
        assert!(
            named.problem().contains("orders.test."),
            "{}",
            named.problem()
        );
        let told = named.told();
        assert!(
            matches!(&told[..], [DiscoveryChange::Refused(_)]),
            "{what}: {told:?}"
        );

        named.names.host(HOST, 5, &["10.0.0.1"]);
        named.pass_until(120, |it| it.ids().len() == 1).await;
        assert_eq!(named.problem(), "", "{what}");
        assert!(named.told().contains(&DiscoveryChange::Recovered));
    }
}

#[tokio::test]
async fn a_name_that_fails_is_asked_ever_later() {
    let names = NameServer::start().await;
    let named = Named::by(names, |it| it.addresses(HOST, 80)).await;
    assert!(named.ids().is_empty());
    named.pass(30).await;
    // After 1, 2, 4, 8 and 16 s, each up to a half later.
    let soon = named.discovery.snapshot().refused;
    assert!((4..=6).contains(&soon), "{soon}");
    named.pass(240).await;
    let later = named.discovery.snapshot().refused - soon;
    assert!((2..=5).contains(&later), "a minute and more apart: {later}");
    named.names.host(HOST, 5, &["10.0.0.1"]);
    named
        .pass_until(100, |it| it.ids() == ["10.0.0.1:80"])
        .await;
}

#[tokio::test]
async fn what_fails_of_an_answer_counts_as_it_was_and_is_told() {
    let names = host(5, &["10.0.0.1", "fd00::1"]).await;
    let mut named = Named::by(names, |it| it.addresses(HOST, 80)).await;
    named.told();
    let broken = Said::Code(ResponseCode::ServFail);
    named.names.host(HOST, 5, &["10.0.0.2", "fd00::1"]);
    named.names.say(HOST, RecordType::AAAA, broken.clone());
    named
        .pass_until(20, |it| it.ids() == ["10.0.0.2:80", "[fd00::1]:80"])
        .await;
    assert!(
        named.problem().contains("orders.test. AAAA"),
        "{}",
        named.problem()
    );
    named.pass(60).await;
    assert_eq!(named.ids(), ["10.0.0.2:80", "[fd00::1]:80"]);
    let told = named.told();
    let refused = told
        .iter()
        .filter(|it| matches!(it, DiscoveryChange::Refused(_)));
    assert_eq!((told.len(), refused.count()), (2, 1), "{told:?}");
    named.names.host(HOST, 5, &["10.0.0.2"]);
    named
        .pass_until(100, |it| it.ids() == ["10.0.0.2:80"])
        .await;
    assert_eq!(named.problem(), "");

    let names = host(5, &["10.0.0.1"]).await;
    names.say(HOST, RecordType::AAAA, broken);
    let named = Named::by(names, |it| it.addresses(HOST, 80)).await;
    named.until(|it| it.ids() == ["10.0.0.1:80"]).await;
}

#[tokio::test]
async fn more_than_are_believed_are_refused_and_any_name_is_read() {
    let names = host(5, &["10.0.0.1", "10.0.0.2"]).await;
    let named = Named::by(names, |it| it.addresses(HOST, 80).most(2)).await;
    assert_eq!(named.ids().len(), 2);
    named
        .names
        .host(HOST, 5, &["10.0.0.3", "10.0.0.4", "10.0.0.5"]);
    named.next_answer().await;
    assert_eq!(named.ids(), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert!(
        named.problem().contains("3 are there; at most 2"),
        "{}",
        named.problem()
    );

    let odd = Name::from_labels([&b"\xff\0 ."[..], &b"\\\"="[..], &[b'x'; 63][..]]).unwrap();
    let names = NameServer::start().await;
    let target = RData::SRV(SRV::new(0, u16::MAX, 80, odd));
    names.say(
        SERVICE,
        RecordType::SRV,
        Said::Records(vec![record(SERVICE, 5, target)]),
    );
    let named = Named::by(names, |it| it.targets(SERVICE)).await;
    assert_eq!(
        (named.ids().len(), named.endpoints()[0].weight),
        (1, 65_535)
    );
}

#[tokio::test]
async fn an_address_is_asked_of_nobody_and_a_name_that_is_none_is_refused() {
    let named = Named::by(NameServer::start().await, |it| it.addresses("fd00::7", 80)).await;
    assert_eq!(named.ids(), ["[fd00::7]:80"]);
    let long = "x".repeat(300);
    let named = Named::by(NameServer::start().await, |it| it.addresses(long, 80)).await;
    assert_eq!(named.discovery.snapshot().refused, 1);
}

#[tokio::test]
async fn it_ends_with_the_pool_and_while_it_waits_for_an_answer() {
    let names = host(5, &["10.0.0.1"]).await;
    let named = Named::by(names, |it| it.addresses(HOST, 80)).await;
    let Named { world, spawn, .. } = named;
    assert_eq!(spawn.live(), 1);
    drop(world);
    ended(&spawn).await;

    let names = NameServer::start().await;
    names.say(HOST, RecordType::A, Said::Silence);
    let named = Named::unasked(names, |it| it.addresses(HOST, 80));
    named
        .until(|it| it.names.asked(HOST, RecordType::A) > 0)
        .await;
    named.discovery.stop();
    ended(&named.spawn).await;
}

async fn ended(spawn: &Spawn) {
    let wait = async {
        while spawn.live() > 0 {
            yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    assert!(waited.is_ok(), "it goes on");
}
