//! A pool whose endpoints are named by a file that changes while the gateway runs; on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use buttress_gateway::config::Config;
use support::manual::OnManualClock;
use support::upgraded::tunnel_through;
use support::{Upstream, bounded, exchange};
use tokio::net::TcpListener;

/// A file that is gone with the test.
struct Named(PathBuf);

impl Named {
    fn new(test: &str, text: &str) -> Self {
        let file = format!("buttress-{test}-{}", std::process::id());
        let named = Self(std::env::temp_dir().join(file));
        named.say(text);
        named
    }

    /// Replaces what it says, so that nobody reads half of it.
    fn say(&self, text: &str) {
        let next = self.0.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, &self.0).unwrap();
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn config(file: &Path) -> String {
    format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\ndiscover = {{ file = \"{}\" }}\n\
         [[route]]\nname = \"r\"\npool = \"p\"\n",
        file.display()
    )
}

/// A gateway before whoever a file names.
type Through = OnManualClock;

impl Through {
    async fn whom(file: &Path) -> Self {
        Self::serving(&config(file)).await
    }

    fn names(&self) -> Vec<String> {
        let pool = self.rooms.pools[0].router.snapshot();
        let mut names: Vec<_> = pool.endpoints.iter().map(|it| it.id.to_string()).collect();
        names.sort();
        names
    }

    /// Lets time pass until the file has been looked at and `seen` is so.
    async fn until(&self, what: &str, seen: impl Fn() -> bool) {
        Box::pin(bounded(what, async {
            while !seen() {
                self.time.advance(Duration::from_millis(10));
                tokio::task::yield_now().await;
            }
        }))
        .await;
    }

    fn discovery(&self) -> buttress::route::discover::DiscoverySnapshot {
        self.rooms.pools[0].discovery.as_ref().unwrap().snapshot()
    }

    async fn page(&self, path: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.admin
        );
        Box::pin(exchange(self.admin, request)).await
    }
}

fn sorted(upstreams: &[&Upstream]) -> Vec<String> {
    let mut names: Vec<_> = upstreams.iter().map(|it| it.address.to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_that_is_rewritten_in_mid_traffic_moves_the_traffic_and_loses_no_request() {
    let [old, stays, new] = [
        Upstream::well().await,
        Upstream::well().await,
        Upstream::well().await,
    ];
    let file = Named::new("moves", &sorted(&[&old, &stays]).join("\n"));
    let through = Through::whom(&file.0).await;
    assert_eq!(through.names(), sorted(&[&old, &stays]), "from the start");
    let (asked, ends) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let traffic = tokio::spawn({
        let (asked, ends, address) = (Arc::clone(&asked), Arc::clone(&ends), through.address);
        async move {
            while !ends.load(Ordering::Relaxed) {
                let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                let answer = Box::pin(exchange(address, request)).await;
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let goes_on = |more: usize| {
        let from = asked.load(Ordering::Relaxed);
        let asked = &asked;
        move || asked.load(Ordering::Relaxed) >= from + more
    };
    through.until("some requests", goes_on(20)).await;
    file.say(&sorted(&[&stays, &new]).join(" weight=1 # here\n"));
    let there = sorted(&[&stays, &new]);
    through
        .until("the pool has changed", || through.names() == there)
        .await;
    let gone = old.heads().len();
    through
        .until("the new one is asked", || !new.heads().is_empty())
        .await;
    through.until("more requests", goes_on(20)).await;
    assert!(old.heads().len() <= gone + 1, "what was on its way at most");
    let status = through.page("/status").await;
    let metrics = through.page("/metrics").await;
    let settings = through.page("/settings").await;
    for (page, what) in [
        (&status, "status"),
        (&metrics, "metrics"),
        (&settings, "settings"),
    ] {
        assert!(page.contains(&new.address.to_string()), "{what}: {page}");
        assert!(!page.contains(&old.address.to_string()), "{what}: {page}");
    }
    let times = &through.rooms.pools[0];
    assert!(!times.windows(&new.address.to_string()).is_empty());
    ends.store(true, Ordering::Relaxed);
    traffic.await.unwrap();
}

#[tokio::test]
async fn who_is_drained_from_the_start_comes_back_when_the_file_no_longer_says_so() {
    let (one, other) = (Upstream::well().await, Upstream::well().await);
    let lines = [one.address.to_string(), other.address.to_string()];
    let file = Named::new("drained", &lines.join(" weight=0\n"));
    let through = Through::whom(&file.0).await;
    let weights = || {
        let pool = through.rooms.pools[0].router.snapshot();
        pool.endpoints
            .iter()
            .map(|it| it.weight)
            .collect::<Vec<_>>()
    };
    through
        .until("the first look", || {
            through.discovery().learned_at.is_some()
        })
        .await;
    assert_eq!(through.discovery().changed, 0, "all is as it was");
    assert_eq!(weights(), [0, 1]);
    file.say(&lines.join("\n"));
    through.until("it is back", || weights() == [1, 1]).await;
    assert_eq!(through.discovery().changed, 1);
}

#[tokio::test]
async fn a_file_that_names_anything_but_a_host_and_a_port_changes_nothing_and_is_told() {
    let upstream = Upstream::well().await;
    let whole = sorted(&[&upstream]);
    let file = Named::new("nonsense", &whole.join("\n"));
    let through = Through::whom(&file.0).await;
    for nonsense in [
        "http://127.0.0.1:1",
        "127.0.0.1",
        "127.0.0.1:1 wieght=2",
        "",
    ] {
        let before = through.discovery().refused;
        file.say(nonsense);
        through
            .until(nonsense, || through.discovery().refused > before)
            .await;
        assert_eq!(through.names(), whole, "{nonsense}");
    }
    // Time passes faster here than files are read, so that a look may have been late.
    let is_nobody = || {
        let problem = through.discovery().problem;
        problem.is_some_and(|problem| problem.to_string().contains("nobody"))
    };
    through.until("nobody is named", is_nobody).await;
    let page = through.page("/status").await;
    let (_, status) = page.split_once("\r\n\r\n").unwrap();
    let status: serde_json::Value = serde_json::from_str(status).unwrap();
    let problem = &status["pools"][0]["discovery"]["problem"];
    assert!(problem.as_str().unwrap().contains("nobody"), "{problem}");
    file.say(&whole.join("\n"));
    through
        .until("it is believed again", || {
            through.discovery().problem.is_none()
        })
        .await;
}

#[test]
fn where_endpoints_come_from_makes_sense_or_is_refused_by_its_key() {
    let good = Named::new("good", "127.0.0.1:9001\n");
    let bad = Named::new("bad", "127.0.0.1:9001\n127.0.0.1:x\n");
    let (good, bad) = (good.0.display(), bad.0.display());
    let text = |pool: &str| {
        format!("[[pool]]\nname = \"p\"\n{pool}\n[[route]]\nname = \"r\"\npool = \"p\"\n")
    };
    for (pool, key, word) in [
        ("discover = {}".to_owned(), "discover", "write one of"),
        (
            "discover = { file = \"/nowhere/at/all\" }".to_owned(),
            "discover.file",
            "cannot be read",
        ),
        (
            format!("discover = {{ file = \"{bad}\" }}"),
            "discover.file",
            "\"x\" is not a port",
        ),
        (
            format!("discover = {{ file = \"{good}\" }}\nendpoints = [\"127.0.0.1:1\"]"),
            "endpoints",
            "remove one",
        ),
        (
            format!("discover = {{ file = \"{good}\", port = 1 }}"),
            "discover.port",
            "only dns",
        ),
        (
            "discover = { dns = \"orders.internal\" }".to_owned(),
            "discover.port",
            "port = 9001",
        ),
        (
            "discover = { dns = \"http://orders\", port = 1 }".to_owned(),
            "discover.dns",
            "is not a name",
        ),
        (
            "discover = { srv = \"_http._tcp.orders.\", port = 1 }".to_owned(),
            "discover.port",
            "srv never",
        ),
        (
            format!("discover = {{ file = \"{good}\", resolvers = [\"10.0.0.2:53\"] }}"),
            "discover.resolvers",
            "only dns and srv",
        ),
        (
            "discover = { srv = \"_http._tcp.orders.\", resolvers = [\"ns.internal:53\"] }"
                .to_owned(),
            "discover.resolvers",
            "\"10.0.0.2:53\"",
        ),
        (
            "discover = { srv = \"_http._tcp.orders.\", resolvers = [] }".to_owned(),
            "discover.resolvers",
            "nobody to ask",
        ),
    ] {
        let error = Config::parse("g.toml", &text(&pool)).unwrap_err();
        let problem = &error.problems()[0];
        assert_eq!(problem.key, format!("pool.p.{key}"), "{problem:?}");
        assert!(problem.message.contains(word), "{problem:?}");
        assert!(problem.line.is_some(), "{problem:?}");
    }
    for pool in [
        "discover = { dns = \"orders.internal.\", port = 9001 }",
        "discover = { srv = \"_http._tcp.orders.internal\" }\nendpoints = [\"127.0.0.1:1\"]",
    ] {
        let config = Config::parse("g.toml", &text(pool)).unwrap();
        assert!(config.pools[0].discover.is_some());
    }
}

#[tokio::test]
async fn the_tunnels_of_who_has_left_are_shown_until_they_have_ended() {
    let (leaves, comes) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        Upstream::well().await,
    );
    let left = leaves.local_addr().unwrap().to_string();
    let file = Named::new("tunnels", &left);
    let config = format!("{}upgrade = [\"websocket\"]\n", config(&file.0));
    let gateway = Box::pin(Through::serving(&config)).await;
    let (client, upstream, _) = tunnel_through(gateway.address, &leaves).await;
    let named = sorted(&[&comes]);
    file.say(&named[0]);
    let moved = gateway.until("the file is read", || gateway.names() == named);
    moved.await;
    let shown = async |endpoint: &str, count: &str| {
        let line =
            format!("buttress_endpoint_tunnels{{pool=\"p\",endpoint=\"{endpoint}\"}} {count}");
        let page = gateway.page("/metrics").await;
        page.lines().any(|it| it.starts_with(&line))
    };
    assert!(shown(&named[0], "0").await);
    assert!(shown(&left, "1").await);
    drop((client, upstream));
    let ended = || gateway.rooms.routes[0].tunnels.as_ref().unwrap().now() == 0;
    gateway.until("the tunnel ends", ended).await;
    assert!(!shown(&left, "").await);
}
