//! What the configuration says of failed requests that are not sampled happens.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use buttress_testing::collector::{Collector, attribute};
use support::process::Process;
use support::{Upstream, exchange};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const FAILED: &str = "HTTP/1.1 500 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";

/// The statuses that spans have of one request, none of which is sampled.
async fn exported(name: &str, answer: &'static str, keys: &str) -> Vec<String> {
    let collector = Collector::default();
    let address = collector.listen("127.0.0.1:0").await;
    let trace =
        format!("[trace]\notlp_endpoint = \"http://{address}\"\nsample_ratio = 0.0\n{keys}\n");
    let upstream = Upstream::answering(answer).await;
    let mut process = Process::serving(name, upstream.address, &trace).await;
    exchange(process.proxy, GET).await;
    process.signal("TERM");
    process.ends_well().await;
    let spans = collector.spans();
    let statuses = spans
        .iter()
        .filter_map(|span| attribute(span, "http.response.status_code"));
    statuses.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_is_exported_unsampled_where_that_is_asked_for() {
    let keep = "keep_failed = true";
    let none: [&str; 0] = [];
    assert_eq!(exported("tail-no.toml", FAILED, "").await, none);
    assert_eq!(exported("tail-well.toml", WELL, keep).await, none);
    assert_eq!(exported("tail.toml", FAILED, keep).await, ["500", "500"]);
}
