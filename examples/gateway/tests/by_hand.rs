//! Whoever takes breakers, canaries and endpoints in hand may be wrong; on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use support::manual::OnManualClock;
use support::{Upstream, exchange};

/// What is asked for, the status, and a word of what is said of it.
const REFUSED: [(&str, u16, &str); 20] = [
    ("breaker.r?value=open", 422, "forced_open"),
    ("breaker.r?value=", 422, "forced_open"),
    ("breaker.r?value=FORCED_OPEN", 422, "forced_open"),
    ("breaker.r", 400, "no value"),
    ("breaker.r?why=x", 400, "no value"),
    ("breaker.r?value=forced_open&value=closed", 400, "twice"),
    ("breaker.r?value=forced_open&why=a&why=b", 400, "twice"),
    ("breaker.r?value=%66orced_open%", 400, "UTF-8"),
    ("breaker.r?value=%00", 422, "forced_open"),
    ("breaker.q?value=forced_open", 404, "/settings lists"),
    ("split.r?value=nan", 422, "from 0 to 1"),
    ("split.r?value=-0.1", 422, "from 0 to 1"),
    ("split.r?value=1.1", 422, "from 0 to 1"),
    ("split.r?value=inf", 422, "from 0 to 1"),
    ("split.r?value=1e999", 422, "from 0 to 1"),
    ("split.r?value=forward", 422, "advance"),
    ("endpoint.p.ENDPOINT?value=out", 422, "forced_out"),
    ("endpoint.p.ENDPOINT?value=ejected", 422, "forced_out"),
    (
        "endpoint.p.127.0.0.1:2?value=draining",
        404,
        "/settings lists",
    ),
    ("endpoint.q.ENDPOINT?value=draining", 404, "/settings lists"),
];

async fn said(gateway: &OnManualClock, request: &str) -> String {
    let host = gateway.admin;
    let request = format!("{request} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    exchange(gateway.admin, request).await
}

/// All settings as they are.
async fn settings(gateway: &OnManualClock) -> serde_json::Value {
    let page = said(gateway, "GET /settings").await;
    serde_json::from_str(&page[page.find('{').unwrap()..]).unwrap()
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_would_and_loses_nothing() {
    let (upstream, other) = (Upstream::well().await, Upstream::well().await);
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\nendpoints = [\"{}\"]\n[[pool]]\nname = \"q\"\nendpoints = [\"{}\"]\n\
         [[route]]\nname = \"r\"\npool = \"p\"\nsplit = {{ canary = \"q\", steps = [0.25] }}\n",
        upstream.address, other.address
    );
    let gateway = OnManualClock::serving(&config).await;
    let endpoint = upstream.address.to_string();
    for put in [
        "PUT /settings/breaker.r?value=observing&why=good",
        "PUT /settings/split.r?value=0.5&why=good",
    ] {
        let answer = said(&gateway, put).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let before = settings(&gateway).await;
    assert_eq!(before["breaker.r"], "observing");
    assert_eq!(before["split.r"], "0.5");
    for (setting, status, word) in REFUSED {
        let setting = setting.replace("ENDPOINT", &endpoint);
        let answer = said(&gateway, &format!("PUT /settings/{setting}")).await;
        let refused = answer.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(refused && answer.contains(word), "{setting}: {answer}");
        assert_eq!(settings(&gateway).await, before, "{setting}");
    }
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = exchange(gateway.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
