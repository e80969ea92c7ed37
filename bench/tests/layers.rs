//! The comparisons of single layers print what their readers parse. No figure is judged here.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The lines that `arguments` make the program print, and whether it ends well.
fn output(arguments: &[&str]) -> (Vec<Value>, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_layers"))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (lines.collect(), output.status.success())
}

fn lines(arguments: &[&str]) -> Vec<Value> {
    let (lines, well) = output(arguments);
    assert!(well);
    lines
}

/// One run for all who look at it.
static BREAKER: LazyLock<Vec<Value>> =
    LazyLock::new(|| lines(&["breaker", "--json", "--rounds", "1"]));

fn text(line: &Value, key: &str) -> String {
    line[key].as_str().unwrap().to_owned()
}

#[test]
fn every_bench_of_the_breaker_has_a_line_for_us_in_the_agreed_form() {
    let mut ours = BTreeSet::new();
    for line in BREAKER.iter() {
        if line["impl"] == "buttress" {
            ours.insert(text(line, "bench"));
        }
        if line["bench"].as_str().unwrap().starts_with("memory/") {
            assert!(line["bytes"].as_u64().unwrap() > 0);
            continue;
        }
        let keys: Vec<&str> = line
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let expected = ["allocs", "bench", "impl", "median_ns", "min_ns", "threads"];
        assert_eq!(BTreeSet::from_iter(keys), BTreeSet::from(expected));
        assert!(line["median_ns"].as_f64().unwrap() > 0.0);
    }
    let expected = [
        "closed/consecutive",
        "closed/count",
        "closed/failing",
        "closed/slow",
        "closed/time",
        "keyed/lookup",
        "keyed/lookup-few",
        "memory/breaker",
        "memory/keyed-100k",
        "open/reject",
    ];
    assert_eq!(ours, BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn a_healthy_call_and_a_rejection_allocate_nothing() {
    for line in BREAKER.iter() {
        if text(line, "impl").starts_with("buttress")
            && line.get("allocs").is_some()
            && line.get("bytes").is_none()
        {
            assert_eq!(line["allocs"], 0, "{line}");
        }
    }
}

#[test]
fn an_id_costs_one_allocation_for_each_extension_and_none_for_being_accepted() {
    let allocations = |bench: &str, name: &str| {
        let lines = lines(&["correlation", "--json", "--rounds", "1"]);
        let line = lines
            .iter()
            .find(|line| line["bench"] == bench && line["impl"] == name);
        line.unwrap()["allocs"].as_f64().unwrap()
    };
    let accepted = allocations("correlation/accepted/full", "buttress");
    assert!(accepted <= 2.0, "{accepted} allocations");
    // The header value is the third.
    let minted = allocations("correlation/minted/full", "buttress");
    assert!(minted <= 3.0, "{minted} allocations");
}

#[test]
fn a_record_allocates_nothing_and_memory_is_within_its_bounds() {
    let lines = lines(&["latency", "--json", "--rounds", "1"]);
    let ours = |bench: &str| {
        let ours = lines.iter().filter(|line| line["impl"] == "buttress");
        let found: Vec<_> = ours.filter(|line| line["bench"] == bench).collect();
        assert!(!found.is_empty(), "{bench}");
        found
    };
    for bench in [
        "record",
        "record/windows",
        "record/unsampled",
        "record/sampled",
        "record/route",
        "layer/plain",
        "layer/http",
    ] {
        assert!(
            ours(bench).iter().all(|line| line["allocs"] == 0),
            "{bench}"
        );
    }
    let bytes = |bench: &str| ours(bench)[0]["bytes"].as_u64().unwrap();
    assert!(bytes("memory/recorder") + bytes("memory/exemplars") <= 16 << 10);
    assert!(bytes("memory/windows/busy") <= 128 << 10);
    assert!(bytes("memory/windows/idle") <= 1 << 10);
    for bench in ["fold", "read", "trend"] {
        assert_eq!(ours(bench).len(), 1, "{bench}");
    }
}

#[test]
fn a_breaker_and_a_hundred_thousand_of_them_take_no_more_memory_than_is_said() {
    let bytes = |bench: &str| {
        let ours = |line: &&Value| line["bench"] == bench && line["impl"] == "buttress";
        BREAKER.iter().find(ours).unwrap()["bytes"]
            .as_u64()
            .unwrap()
    };
    assert!(bytes("memory/breaker") <= 2 << 10);
    assert!(bytes("memory/keyed-100k") <= 256 << 20);
}

#[test]
fn a_pick_allocates_nothing_and_an_endpoint_takes_no_more_memory_than_is_said() {
    let lines = lines(&["route", "--json", "--rounds", "1"]);
    let ours = |bench: &str| {
        let mut ours = lines.iter().filter(|line| line["impl"] == "buttress");
        ours.find(|line| line["bench"] == bench).unwrap()
    };
    let picks =
        ["pick", "call", "request"].map(|what| [10, 16, 10_000].map(|of| format!("{what}/{of}")));
    let keyed = ["key/10", "key/10000", "pick/updating"].map(str::to_owned);
    for bench in picks.into_iter().flatten().chain(keyed) {
        assert_eq!(ours(&bench)["allocs"], 0, "{bench}");
    }
    assert!(ours("memory/endpoint")["bytes"].as_u64().unwrap() <= 2 << 10);
    for bench in ["update/kept", "update/new"] {
        assert!(ours(bench)["median_ns"].as_f64().unwrap() > 0.0, "{bench}");
    }
}

#[test]
fn a_router_that_is_judged_ends_well_if_each_bar_is_met_and_not_otherwise() {
    let (bars, well) = output(&["route", "--judge", "--json", "--rounds", "1"]);
    let are_met: Vec<bool> = bars
        .iter()
        .map(|bar| bar["met"].as_bool().unwrap())
        .collect();
    assert_eq!(are_met.len(), 9);
    // A build for debugging misses some, and one for use may miss none.
    assert_eq!(are_met.iter().all(|met| *met), well);
}
