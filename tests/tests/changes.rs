//! Every change of state is recorded, with who, why, before and after.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use buttress_testing::FakeUpstream;
use buttress_tests::{Answer, AuditFile, Client, Stand, Told, until};
use http::Method;
use http_body_util::Full;
use serde_json::Value;
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_recorded_with_who_why_before_and_after() {
    let audit = AuditFile::of("audit");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = gone.local_addr().unwrap();
    drop(gone);
    let breaker = "[route.breaker]\nconsecutive_failures = 3";
    let routes = Stand::one_route(&[dead], "", breaker);
    let stand = Stand::usual(&format!("{}{routes}", audit.config())).await;

    until("the start is recorded", || {
        !audit.records("configuration").is_empty()
    })
    .await;
    let started = &audit.records("configuration")[0];
    assert_eq!(started["after"]["routes"][0], "all");
    assert_eq!(started["before"], Value::Null);

    for _ in 0..3 {
        stand.client().get("/").await;
    }
    let opened = |records: Vec<Value>| {
        let mut found = records.into_iter();
        found.find(|it| it["subject"] == "breaker all" && it["after"] == "open")
    };
    until("the transition is recorded", || {
        opened(audit.records("transition")).is_some()
    })
    .await;
    let record = opened(audit.records("transition")).unwrap();
    assert_eq!(record["before"], "closed");
    assert_eq!(record["who"], "rule consecutive_failures");
    assert!(
        record["why"]
            .as_str()
            .unwrap()
            .contains("consecutive_failures 3"),
        "{record}"
    );

    assert!(stand.rooms.routes[0].breaker.force_closed());
    until("the override is recorded", || {
        !audit.records("override").is_empty()
    })
    .await;
    let record = &audit.records("override")[0];
    assert_eq!(record["who"], "by hand");
    assert_eq!(record["before"], "open");

    let metrics = stand.page("/metrics").await.text();
    assert!(
        metrics.contains("buttress_audit_records_total{result=\"written\"}"),
        "{metrics}"
    );
}

async fn put(stand: &Stand, name: &str, value: &str) -> Answer {
    let client = Client::of(stand.admin);
    let path = format!("/settings/{name}?value={value}&why=ticket+7");
    let request = client.request(Method::PUT, &path).body(Full::default());
    client.send(request.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_a_breaker_or_an_endpoint_in_hand_is_recorded_with_the_reason_given() {
    let audit = AuditFile::of("override");
    let upstreams = [FakeUpstream::start().await, FakeUpstream::start().await];
    let addresses = [upstreams[0].addr(), upstreams[1].addr()];
    let routes = Stand::one_route(&addresses, "", "");
    let stand = Stand::usual(&format!("{}{routes}", audit.config())).await;
    let endpoint = format!("endpoint.pool.{}", addresses[0]);

    let answer = put(&stand, &endpoint, "draining").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for _ in 0..20 {
        assert_eq!(stand.client().get("/").await.status, 200);
    }
    assert_eq!(upstreams[0].requests(), 0);
    assert_eq!(put(&stand, "breaker.all", "forced_open").await.status, 200);
    assert_eq!(stand.client().get("/").await.status, 503);
    assert_eq!(put(&stand, "breaker.all", "closed").await.status, 200);
    assert_eq!(stand.client().get("/").await.status, 200);
    for (name, value) in [("breaker.all", "half_open"), (&*endpoint, "ejected")] {
        assert_eq!(put(&stand, name, value).await.status, 422);
    }
    let settings = stand.page("/settings").await.text();
    assert!(settings.contains("\"draining\""), "{settings}");

    let overrides = || audit.records("override");
    until("they are recorded", || overrides().len() == 3).await;
    let subject = format!("endpoint {} of pool pool", addresses[0]);
    for (subject, before, after) in [
        (&*subject, "active", "draining"),
        ("breaker all", "closed", "forced_open"),
        ("breaker all", "forced_open", "closed"),
    ] {
        let records = overrides();
        let fits = |it: &&Value| {
            it["subject"] == subject && it["before"] == before && it["after"] == after
        };
        let record = records.iter().find(fits).unwrap();
        assert!(record["who"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert_eq!(record["why"], "ticket 7");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_is_changed_by_the_admin_listener_and_that_is_recorded() {
    let told = Told::of_this_process();
    let audit = AuditFile::of("level");
    let upstream = FakeUpstream::start().await;
    let routes = Stand::one_route(&[upstream.addr()], "", "");
    let stand = told
        .stand(&format!(
            "{}[log]\naccess_log = true\n{routes}",
            audit.config()
        ))
        .await;
    let said = |what: &str| {
        tracing::warn!(target: "said_of_a_level", "{what}");
        !told.lines.with(what).is_empty()
    };
    assert!(said("level-before"));
    let answer = put(&stand, "log.filter", "trace,said_of_a_level=error").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!said("level-after"));
    assert_eq!(put(&stand, "log.filter", "loud").await.status, 422);
    assert!(!said("level-refused"));
    let settings = stand.page("/settings").await.text();
    assert!(settings.contains("said_of_a_level=error"), "{settings}");
    assert_eq!(put(&stand, "log.filter", "trace").await.status, 200);
    assert!(said("level-again"));

    until("both changes are recorded", || {
        audit.records("configuration").len() == 3
    })
    .await;
    let record = &audit.records("configuration")[1];
    assert_eq!(record["subject"], "log.filter");
    assert!(record["who"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(record["why"], "ticket 7");
    assert!(
        record["after"]
            .as_str()
            .unwrap()
            .contains("said_of_a_level=error")
    );
}
