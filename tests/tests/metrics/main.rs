//! Every metric that is emitted is documented, and every one that is documented is emitted, with its kind
//! and its labels.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

mod everything;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use buttress_tests::{Documented, documented};

const STATE_SET: &str = "state set";

/// What a page shows of each metric: kind, and labels.
fn emitted(page: &str) -> BTreeMap<String, Documented> {
    let mut metrics: BTreeMap<String, Documented> = BTreeMap::new();
    for line in page.lines() {
        if let Some(of_type) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of_type.split_once(' ').unwrap();
            let metric = metrics.entry(name.to_owned()).or_default();
            kind.clone_into(&mut metric.kind);
        }
    }
    for sample in page.lines().filter(|line| !line.starts_with('#')) {
        let end = sample.find(['{', ' ']).unwrap();
        let parts = ["_bucket", "_sum", "_count"];
        let base = parts
            .iter()
            .find_map(|part| sample[..end].strip_suffix(part));
        let of_histogram =
            |base: &&str| metrics.get(*base).is_some_and(|it| it.kind == "histogram");
        let name = base.filter(of_histogram).unwrap_or(&sample[..end]);
        let of = metrics.get_mut(name);
        of.unwrap_or_else(|| panic!("no TYPE: {sample}"))
            .labels
            .extend(labels(&sample[end..]));
    }
    metrics
}

/// The names in `{name="value",…} 1`.
fn labels(rest: &str) -> BTreeSet<String> {
    let Some(inside) = rest.strip_prefix('{') else {
        return BTreeSet::new();
    };
    let mut names: BTreeSet<String> = inside
        .split("=\"")
        .filter_map(|part| part.rsplit(['"', ',']).next())
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
        .map(str::to_owned)
        .collect();
    names.remove("le");
    names.remove("");
    names
}

/// Limits are shown where there is one, and the process on Linux alone.
fn is_there_everywhere(name: &str) -> bool {
    let limits = ["process_max_fds", "process_virtual_memory_max_bytes"];
    let of_linux = name.starts_with("process_");
    !limits.contains(&name) && (cfg!(target_os = "linux") || !of_linux)
}

#[tokio::test]
async fn what_a_gateway_with_everything_on_shows_is_what_is_documented() {
    let page = everything::page().await;
    let (emitted, documented) = (emitted(&page), documented());
    let names =
        |of: &BTreeMap<String, Documented>| -> BTreeSet<String> { of.keys().cloned().collect() };
    let (shown, written) = (names(&emitted), names(&documented));
    let missing: Vec<_> = shown.difference(&written).collect();
    assert!(
        missing.is_empty(),
        "emitted, and not documented: {missing:?}"
    );
    let missing = written.difference(&shown);
    let missing: Vec<_> = missing.filter(|name| is_there_everywhere(name)).collect();
    assert!(
        missing.is_empty(),
        "documented, and not emitted: {missing:?}"
    );
    for (name, documented) in documented.iter().filter(|(name, _)| shown.contains(*name)) {
        let mut documented = documented.clone();
        if documented.kind == STATE_SET {
            // So is it called in this form of the page.
            "gauge".clone_into(&mut documented.kind);
        }
        assert_eq!(
            emitted[name], documented,
            "{name}: on the page, and in the guide"
        );
    }
}

/// The string literals of the sources that are names of metrics, wherever they are emitted.
#[test]
fn every_name_in_the_sources_is_documented() {
    let documented = documented();
    let known = |name: &str| {
        documented.contains_key(name) || documented.contains_key(&format!("{name}_total"))
    };
    // A call of a service that is no HTTP has neither head, stream nor body.
    let never = |name: &str| {
        let of_no_call = ["head_", "stream_", "request_body_", "response_body_"];
        let rest = name.strip_prefix("buttress_call_");
        rest.is_some_and(|rest| of_no_call.iter().any(|part| rest.starts_with(part)))
    };
    let mut found = 0;
    for file in sources() {
        let code = std::fs::read_to_string(&file).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for literal in lines.flat_map(|line| line.split('"').skip(1).step_by(2)) {
            if is_metric(literal) && !never(literal) {
                found += 1;
                assert!(known(literal), "{literal} in {}", file.display());
            }
        }
    }
    assert!(found > 40, "{found}");
}

fn is_metric(literal: &str) -> bool {
    let named = literal
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let ours = [
        "buttress_",
        "process_",
        "tokio_",
        "http_server_",
        "http_client_",
    ];
    named && ours.iter().any(|prefix| literal.starts_with(prefix))
}

fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = std::fs::read_dir(root.join("crates")).unwrap();
    let folders = crates.map(|entry| entry.unwrap().path().join("src"));
    let mut folders: Vec<_> = folders.chain([root.join("examples/gateway/src")]).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(end) if end == "rs" => files.push(path),
                _ => {}
            }
        }
    }
    files
}

/// Every state of every set is there before anything has happened, and exactly one of each set is 1.
#[tokio::test]
async fn state_sets_are_there_from_birth() {
    let page = everything::newborn().await;
    let expected = [
        ("buttress_breaker_state", 7),
        ("buttress_endpoint_state", 6),
        ("buttress_health_status", 4),
        ("buttress_readiness_phase", 3),
    ];
    let sets: BTreeSet<_> = documented()
        .into_iter()
        .filter(|(_, of)| of.kind == STATE_SET)
        .map(|(name, _)| name)
        .collect();
    assert!(
        sets.iter().eq(expected.map(|(name, _)| name).iter()),
        "{sets:?}"
    );
    for (name, states) in expected {
        let samples: Vec<_> = page
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .map(|line| line.rsplit_once(' ').unwrap())
            .collect();
        assert!(!samples.is_empty(), "{name}");
        assert_eq!(samples.len() % states, 0, "{samples:?}");
        for set in samples.chunks(states) {
            let ones = set.iter().filter(|(_, value)| *value == "1").count();
            let zeros = set.iter().filter(|(_, value)| *value == "0").count();
            assert_eq!((ones, zeros), (1, states - 1), "{set:?}");
        }
    }
}
