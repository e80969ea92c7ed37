//! A route whose file says that a share of its requests goes to a canary; on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::manual::OnManualClock;
use support::{Upstream, bounded, exchange, read_to_end, read_until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const BROKEN: &str =
    "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A gateway before a stable pool and a canary.
type Split = OnManualClock;

impl Split {
    async fn between(stable: &Upstream, canary: &Upstream, split: &str) -> Self {
        // Time stands still, and nobody is thrown out, so that only the split decides.
        let patient = "probe_by_copies = false\nconsecutive_failures = 1000000";
        let pool = |name: &str, upstream: &Upstream| {
            let address = upstream.address;
            format!(
                "[[pool]]\nname = \"{name}\"\nendpoints = [\"{address}\"]\n[pool.health]\n{patient}\n"
            )
        };
        let config = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n{}{}\
             [[route]]\nname = \"r\"\npool = \"v1\"\n[route.breaker]\nconsecutive_failures = 1000000\n\
             [route.split]\ncanary = \"v2\"\n{split}\n",
            pool("v1", stable),
            pool("v2", canary),
        );
        Self::serving(&config).await
    }

    async fn ask(&self, user: usize) -> String {
        let request = format!(
            "GET / HTTP/1.1\r\nhost: a\r\ncookie: user={user}\r\nconnection: close\r\n\r\n"
        );
        Box::pin(exchange(self.address, request)).await
    }

    /// Sends an upload that breaks if the canary takes it, and says whether it did.
    async fn break_upload(&self, canary: &Upstream) -> bool {
        let before = canary.heads().len();
        let mut client = TcpStream::connect(self.address).await.unwrap();
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        let answered = async {
            let answer = read_until(&mut client, "\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        };
        let taken = async {
            while canary.heads().len() == before {
                tokio::task::yield_now().await;
            }
        };
        let taken = bounded("one of both takes it", async {
            tokio::select! {
                () = answered => false,
                () = taken => true,
            }
        });
        let taken = taken.await;
        if taken {
            client.write_all(b"no chunk\r\n").await.unwrap();
            let answer = read_to_end(&mut client).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
        taken
    }

    async fn put(&self, value: &str) -> String {
        self.tell("split.r", value).await
    }

    /// The status line of `/health` where one of the pools does not serve.
    async fn health_without(&self, pool: &str, upstream: &Upstream) -> String {
        let endpoint = format!("endpoint.{pool}.{}", upstream.address);
        let answer = self.tell(&endpoint, "forced_out").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let request = format!(
            "GET /health HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.admin
        );
        let page = exchange(self.admin, request).await;
        self.tell(&endpoint, "active").await;
        let words: Vec<_> = page.split(' ').collect();
        words[1].to_owned()
    }

    async fn tell(&self, setting: &str, value: &str) -> String {
        let request = format!(
            "PUT /settings/{setting}?value={value}&why=ticket+7 HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.admin
        );
        exchange(self.admin, request).await
    }

    async fn status(&self) -> Value {
        let request = format!(
            "GET /status HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.admin
        );
        let page = exchange(self.admin, request).await;
        let (_, body) = page.split_once("\r\n\r\n").unwrap();
        let status: Value = serde_json::from_str(body).unwrap();
        status["splits"][0].clone()
    }

    fn share(&self) -> f64 {
        let split = self.rooms.route("r").unwrap().split.as_ref();
        split.unwrap().handle.snapshot().share
    }
}

#[tokio::test]
async fn users_stay_with_the_canary_they_were_given_while_its_share_rises() {
    let (stable, canary) = (Upstream::well().await, Upstream::well().await);
    let keys = "key = \"cookie:user\"\nsteps = [0.3, 0.7, 1.0]\nstep_for = \"1m\"\nmin_calls = 5";
    let split = Split::between(&stable, &canary, keys).await;
    let mut with_canary = Vec::new();
    for share in [0.3, 0.7, 1.0] {
        let mut now = Vec::new();
        for user in 0..60 {
            let before = canary.heads().len();
            let answer = split.ask(user).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            if canary.heads().len() > before {
                now.push(user);
            }
        }
        assert!(with_canary.iter().all(|user| now.contains(user)));
        let found = now.len() as f64 / 60.0;
        assert!((found - share).abs() < 0.2, "{found} of {share}");
        with_canary = now;
        split.time.advance(Duration::from_secs(61));
        // The next request sees that the step is over.
        split.ask(0).await;
    }
    let status = split.status().await;
    assert_eq!(status["canary"], "v2");
    assert_eq!(
        (&status["stage"], &status["step"]),
        (&"step".into(), &3.into())
    );
    assert_eq!(status["canary_calls"]["failure"], 0);
}

#[tokio::test]
async fn a_canary_that_fails_is_rolled_back_and_it_is_said_why() {
    let (stable, canary) = (Upstream::well().await, Upstream::answering(BROKEN).await);
    let split = Split::between(&stable, &canary, "steps = [0.5, 1.0]").await;
    let mut harmed = 0;
    bounded("the canary is rolled back", async {
        while split.share() > 0.0 {
            harmed += usize::from(split.ask(0).await.contains("500"));
        }
    })
    .await;
    assert!((5..60).contains(&harmed), "{harmed}");
    let before = canary.heads().len();
    for _ in 0..20 {
        assert!(split.ask(0).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(canary.heads().len(), before, "nothing more goes there");
    let status = split.status().await;
    assert_eq!(status["stage"], "rolled_back");
    let verdict = status["verdict"].as_str().unwrap();
    assert!(verdict.contains("two_proportions"), "{verdict}");
    bounded("the journal says so", async {
        while !split.last.to_string().starts_with("split r: ") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn uploads_that_clients_break_off_are_not_held_against_the_canary() {
    let (stable, canary) = (Upstream::well().await, Upstream::answering("").await);
    let split = Split::between(&stable, &canary, "steps = [0.5, 1.0]").await;
    let mut broken = 0;
    for _ in 0..60 {
        broken += usize::from(split.break_upload(&canary).await);
    }
    assert!(broken > 10, "{broken}");
    let status = split.status().await;
    assert_eq!(
        (&status["stage"], &status["step"]),
        (&"step".into(), &1.into())
    );
    assert_eq!(status["canary_calls"]["failure"], 0);
}

#[tokio::test]
async fn an_operator_sets_the_share_rolls_back_and_begins_anew() {
    let (stable, canary) = (Upstream::well().await, Upstream::well().await);
    let split = Split::between(&stable, &canary, "steps = [0.1, 0.5]").await;
    for (value, share) in [
        ("0.25", 0.25),
        ("advance", 0.5),
        ("rolled_back", 0.0),
        ("restart", 0.1),
    ] {
        let answer = split.put(value).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{value}: {answer}");
        assert!((split.share() - share).abs() < 1e-9, "{value}");
    }
    let verdict = split.status().await["verdict"].as_str().unwrap().to_owned();
    assert!(verdict.contains("ticket 7"), "{verdict}");
    for refused in ["2", "half", "-0.1"] {
        let answer = split.put(refused).await;
        assert!(answer.starts_with("HTTP/1.1 422 "), "{refused}: {answer}");
    }
    split.put("0.5").await;
    let answer = split.put("advance").await;
    assert!(answer.contains("no step"), "{answer}");
}

#[tokio::test]
async fn a_long_answer_of_either_passes_whole() {
    const LONG: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                        5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let (stable, canary) = (
        Upstream::answering(LONG).await,
        Upstream::answering(LONG).await,
    );
    let split = Split::between(&stable, &canary, "steps = [0.5]").await;
    while stable.heads().is_empty() || canary.heads().is_empty() {
        let answer = split.ask(0).await;
        assert!(
            answer.contains("hello") && answer.contains(" world"),
            "{answer}"
        );
    }
    bounded("nothing is in flight", async {
        while split
            .rooms
            .latency
            .snapshot()
            .routes
            .iter()
            .any(|it| it.in_flight > 0)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_gateway_is_as_well_as_the_pool_that_bears_most_of_a_route() {
    let (stable, canary) = (Upstream::well().await, Upstream::well().await);
    let split = Split::between(&stable, &canary, "steps = [0.1, 1.0]").await;
    for (told, without_stable, without_canary) in [
        ("0.2", "503", "200"),
        ("0.5", "503", "503"),
        ("1.0", "200", "503"),
        ("rolled_back", "503", "200"),
    ] {
        split.put(told).await;
        let health = split.health_without("v1", &stable).await;
        assert_eq!(health, without_stable, "without the stable, {told}");
        let health = split.health_without("v2", &canary).await;
        assert_eq!(health, without_canary, "without the canary, {told}");
    }
}
