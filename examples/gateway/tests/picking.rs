//! By what the file says that an origin is picked, on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::net::SocketAddr;

use buttress_gateway::config::Config;
use buttress_gateway::gateway::Gateway;
use buttress_gateway::server::Drain;
use support::{Upstream, exchange};

/// A gateway before a pool, of which the file says so.
async fn gateway(pool: &str) -> SocketAddr {
    mirrored(pool, "").await
}

/// The same, of whose route the file says that.
async fn mirrored(pool: &str, route: &str) -> SocketAddr {
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\n{pool}\n\
         [[route]]\nname = \"r\"\npath_prefix = \"/\"\npool = \"p\"\n{route}\n"
    );
    let config = Config::parse("test.toml", &config).unwrap();
    let gateway = Gateway::bind(&config, Drain::new()).await.unwrap();
    let address = gateway.address();
    tokio::spawn(gateway.run());
    address
}

async fn upstreams() -> [Upstream; 3] {
    [
        Upstream::well().await,
        Upstream::well().await,
        Upstream::well().await,
    ]
}

/// How many requests each has had.
fn taken(upstreams: &[Upstream; 3]) -> [usize; 3] {
    upstreams.each_ref().map(|it| it.heads().len())
}

async fn ask(gateway: SocketAddr, session: usize) {
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a\r\ncookie: a=b; session={session}\r\nconnection: close\r\n\r\n"
    );
    let answer = exchange(gateway, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn who_comes_with_one_cookie_is_sent_to_one_origin() {
    let upstreams = upstreams().await;
    let endpoints = upstreams.each_ref().map(|it| format!("\"{}\"", it.address));
    let through = gateway(&format!(
        "pick = \"consistent_hash\"\naffinity = \"cookie:session\"\nendpoints = [{}]",
        endpoints.join(", ")
    ))
    .await;
    for session in 0..20 {
        let before = taken(&upstreams);
        for _ in 0..4 {
            ask(through, session).await;
        }
        let after = taken(&upstreams);
        let homes = (0..3).filter(|&it| after[it] > before[it]);
        assert_eq!(homes.count(), 1, "{before:?} {after:?}");
    }
    assert!(
        taken(&upstreams).iter().all(|it| *it > 0),
        "and not all to one"
    );
}

#[tokio::test]
async fn the_first_priority_and_whoever_has_a_weight_is_asked_and_nobody_else() {
    let upstreams = upstreams().await;
    let [first, drained, later] = upstreams.each_ref().map(|it| it.address);
    let through = gateway(&format!(
        "pick = \"round_robin\"\nendpoints = [\"{first}\", {{ address = \"{drained}\", weight = 0 }}, \
         {{ address = \"{later}\", priority = 1 }}]"
    ))
    .await;
    for session in 0..20 {
        ask(through, session).await;
    }
    assert_eq!(taken(&upstreams), [20, 0, 0]);
}

#[tokio::test]
async fn copies_go_to_another_pool_and_what_that_does_is_nobodys_trouble() {
    let (well, shadow) = (Upstream::well().await, Upstream::well().await);
    let (first, next) = (well.address, shadow.address);
    let pools =
        format!("endpoints = [\"{first}\"]\n[[pool]]\nname = \"next\"\nendpoints = [\"{next}\"]");
    let route = "mirror = { pool = \"next\", share = 1.0 }";
    let through = mirrored(&pools, route).await;
    for session in 0..10 {
        ask(through, session).await;
    }
    let copied = async {
        while shadow.heads().len() < 10 {
            tokio::task::yield_now().await;
        }
    };
    support::bounded("copies", copied).await;
    assert_eq!(well.heads().len(), 10);
}

const BUSY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\
                    endpoint-load-metrics: TEXT cpu_utilization=1.9\r\n\r\nok";
const IDLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\
                    endpoint-load-metrics: JSON {\"cpu_utilization\": 0.1}\r\n\r\nok";
/// What is asked at a time of origins that report their load.
const BATCH: usize = 120;

/// The first is busy.
async fn reporting() -> [Upstream; 3] {
    [
        Upstream::answering(BUSY).await,
        Upstream::answering(IDLE).await,
        Upstream::answering(IDLE).await,
    ]
}

/// A gateway that takes them in turns.
async fn in_turns(upstreams: &[Upstream; 3], keys: &str) -> SocketAddr {
    let endpoints = upstreams.each_ref().map(|it| format!("\"{}\"", it.address));
    gateway(&format!(
        "pick = \"round_robin\"\n{keys}\nendpoints = [{}]",
        endpoints.join(", ")
    ))
    .await
}

/// How many clients of a batch are told of the load, and how many of it the busy one has had.
async fn batch(gateway: SocketAddr, busy: &Upstream) -> (usize, usize) {
    let before = busy.heads().len();
    let mut told = 0;
    for _ in 0..BATCH {
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = exchange(gateway, request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        told += usize::from(answer.contains("endpoint-load-metrics"));
    }
    (told, busy.heads().len() - before)
}

#[tokio::test]
async fn who_reports_to_be_busy_gets_less_and_no_client_is_told() {
    let upstreams = reporting().await;
    let through = in_turns(&upstreams, "reported_load = true").await;
    let mut taken = BATCH;
    for _ in 0..20 {
        let told;
        (told, taken) = batch(through, &upstreams[0]).await;
        assert_eq!(told, 0);
        if taken < BATCH / 4 {
            break;
        }
    }
    assert!(taken > 0 && taken < BATCH / 4, "{taken}");
}

#[tokio::test]
async fn what_is_reported_is_a_header_like_any_other_where_the_file_says_nothing() {
    let upstreams = reporting().await;
    let through = in_turns(&upstreams, "").await;
    let (told, taken) = batch(through, &upstreams[0]).await;
    assert_eq!(told, BATCH);
    // A copy may have been a probe.
    assert!(taken.abs_diff(BATCH / 3) <= 3, "{taken}");
}

#[tokio::test]
async fn by_what_is_picked_and_ejected_is_shown() {
    let config = "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
                  [[pool]]\nname = \"p\"\npick = \"consistent_hash\"\naffinity = \"path\"\nload_bound = 2\n\
                  noise_band = 0.5\nremember = \"1m\"\nendpoints = [\"127.0.0.1:1\"]\n\
                  health.failure_weights = { connect = 3, body = 0 }\n\
                  [[pool]]\nname = \"q\"\nendpoints = [\"127.0.0.1:1\"]\n\
                  [[route]]\nname = \"r\"\npool = \"p\"\n";
    let config = Config::parse("test.toml", config).unwrap();
    let gateway = Gateway::bind(&config, Drain::new()).await.unwrap();
    let admin = gateway.admin_address();
    tokio::spawn(gateway.run());
    let request = format!("GET /status HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let page = exchange(admin, request).await;
    let page = &page[page.find('{').unwrap()..];
    let page: serde_json::Value = serde_json::from_str(page).unwrap();
    let [said, silent] = [&page["pools"][0], &page["pools"][1]];
    assert_eq!(said["load_bound"], 2.0);
    assert_eq!(said["noise_band"], 0.5);
    assert_eq!(said["remember_seconds"], 60.0);
    assert_eq!(said["failure_weights"]["connect"], 3);
    assert_eq!(said["failure_weights"]["body"], 0);
    assert_eq!(silent["load_bound"], serde_json::Value::Null);
    assert_eq!(silent["failure_weights"]["body"], 1);
}
