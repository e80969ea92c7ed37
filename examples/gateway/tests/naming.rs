//! A pool whose endpoints a name server names: they are connected to by their address, and go by the name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../../../crates/buttress-route/tests/common/names.rs"]
#[allow(dead_code)]
mod names;
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_testing::{Behaviour, FakeUpstream, body};
use http::{Response, Uri, Version};
use http_body_util::Empty;
use names::NameServer;
use support::manual::OnManualClock;
use support::{Upstream, bounded, exchange};

const HOST: &str = "orders.test.";
const SERVICE: &str = "_http._tcp.orders.test.";
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";

/// A gateway over a pool with these keys, once the name server has named `endpoints` of them.
async fn through(names: &NameServer, found: &str, pool: &str, hosts: &str) -> OnManualClock {
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [forwarded]\nhost = \"upstream\"\n[correlation]\nhosts = [\"{hosts}\"]\n\
         [[pool]]\nname = \"p\"\n{pool}\ndiscover = {{ {found}, resolvers = [\"{}\"] }}\n\
         [[route]]\nname = \"r\"\npool = \"p\"\n",
        names.address()
    );
    let gateway = OnManualClock::serving(&config).await;
    let pool = &gateway.rooms.pools[0];
    let named = async {
        while pool.router.snapshot().endpoints.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    bounded("the name server has said who is there", named).await;
    gateway
}

#[tokio::test]
async fn who_is_found_by_a_name_is_told_by_it_and_called_by_it() {
    let upstream = Upstream::well().await;
    let (names, port) = (NameServer::start().await, upstream.address.port());
    names.host(HOST, 60, &["127.0.0.1"]);
    names.service(SERVICE, 60, &[(0, 1, port, "a.elsewhere.test.")]);
    names.host("a.elsewhere.test.", 60, &["127.0.0.1"]);
    for (found, hosts, is_told) in [
        (
            format!("dns = \"{HOST}\", port = {port}"),
            "orders.test",
            true,
        ),
        (
            format!("dns = \"{HOST}\", port = {port}"),
            "*.elsewhere.test",
            false,
        ),
        (format!("srv = \"{SERVICE}\""), "orders.test", true),
        (format!("srv = \"{SERVICE}\""), "127.0.0.2", false),
    ] {
        let gateway = through(&names, &found, "", hosts).await;
        let answer = exchange(gateway.address, REQUEST).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{found}: {answer}");
        let ids: Vec<_> = gateway.rooms.pools[0].router.snapshot().endpoints;
        assert_eq!(*ids[0].id, *format!("127.0.0.1:{port}"));
        let head = upstream.heads().pop().unwrap().to_ascii_lowercase();
        assert!(
            head.contains(&format!("\r\nhost: orders.test:{port}\r\n")),
            "{head}"
        );
        assert_eq!(
            head.contains("\r\nx-correlation-id: "),
            is_told,
            "{found}: {head}"
        );
    }
}

#[tokio::test]
async fn who_is_listed_beside_a_name_goes_by_what_is_written() {
    let upstream = Upstream::well().await;
    let names = NameServer::start().await;
    let port = upstream.address.port();
    let listed = format!("endpoints = [\"127.0.0.1:{port}\"]");
    // Nobody is found by the name.
    let found = format!("dns = \"{HOST}\", port = {port}");
    for (hosts, is_told) in [("127.0.0.1", true), ("orders.test", false)] {
        let gateway = through(&names, &found, &listed, hosts).await;
        let answer = exchange(gateway.address, REQUEST).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let head = upstream.heads().pop().unwrap().to_ascii_lowercase();
        let host = format!("\r\nhost: 127.0.0.1:{port}\r\n");
        assert!(head.contains(&host), "{head}");
        let told = head.contains("\r\nx-correlation-id: ");
        assert_eq!(told, is_told, "{hosts}: {head}");
    }
}

#[tokio::test]
async fn over_http_2_who_is_found_by_a_name_is_called_by_it_too() {
    let seen = Arc::<Mutex<Vec<(Version, Uri)>>>::default();
    let into = Arc::clone(&seen);
    let upstream = FakeUpstream::with(Behaviour::handler(move |request| {
        into.lock()
            .unwrap()
            .push((request.version(), request.uri().clone()));
        async { Response::new(body(Empty::new())) }
    }));
    let (upstream, names) = (upstream.await, NameServer::start().await);
    let port = upstream.addr().port();
    names.host(HOST, 60, &["127.0.0.1"]);
    let found = format!("dns = \"{HOST}\", port = {port}");
    let gateway = through(&names, &found, "protocol = \"h2\"", "orders.test").await;
    let answer = exchange(gateway.address, REQUEST).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (version, uri) = seen.lock().unwrap().remove(0);
    assert_eq!(version, Version::HTTP_2);
    assert_eq!(uri.to_string(), format!("http://orders.test:{port}/"));
}

#[tokio::test]
async fn endpoints_move_as_the_name_does() {
    let upstream = Upstream::well().await;
    let (names, port) = (NameServer::start().await, upstream.address.port());
    // Nobody listens there.
    names.host(HOST, 5, &["127.0.0.2"]);
    let found = format!("dns = \"{HOST}\", port = {port}");
    let gateway = through(&names, &found, "", "orders.test").await;
    let answer = exchange(gateway.address, REQUEST).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    names.host(HOST, 5, &["127.0.0.1"]);
    let ids = || {
        let pool = gateway.rooms.pools[0].router.snapshot();
        let ids = pool.endpoints.iter().map(|it| it.id.to_string());
        ids.collect::<Vec<_>>()
    };
    let moved = async {
        while ids() != [format!("127.0.0.1:{port}")] {
            gateway.time.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    };
    bounded("the name has moved", moved).await;
    let answer = exchange(gateway.address, REQUEST).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
