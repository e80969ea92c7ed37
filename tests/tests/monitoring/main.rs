//! Dashboards, rules and runbooks hold together: they name what is emitted, and each other.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

mod promql;
mod rules;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use buttress_tests::documented;
use promql::Known;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder that end so, by their name without the end.
fn files(folder: &str, end: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        let fits = path.extension()? == end && name != "README";
        fits.then(|| (name, std::fs::read_to_string(path).unwrap()))
    };
    paths.filter_map(read).collect()
}

fn dashboards() -> Vec<(String, Value)> {
    let read = |(name, text): (String, String)| (name, serde_json::from_str(&text).unwrap());
    files("dashboards", "json").into_iter().map(read).collect()
}

fn text<'a>(value: &'a Value, of: &str) -> &'a str {
    let found = value.as_str().unwrap_or_default();
    assert!(!found.is_empty(), "{of}");
    found
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

/// The panels that show something.
fn graphs(dashboard: &Value) -> impl Iterator<Item = &Value> {
    panels(dashboard)
        .iter()
        .filter(|panel| panel["type"] != "row")
}

#[test]
fn every_query_of_a_dashboard_names_what_is_emitted() {
    let known = Known::emitted();
    let mut queries = 0;
    for (name, dashboard) in dashboards() {
        for panel in graphs(&dashboard) {
            let of = format!("{name}: {}", panel["title"]);
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{of}");
            for target in targets {
                known.check(text(&target["expr"], &of), &of);
                queries += 1;
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            if variable["type"] == "query" {
                let query = text(&variable["query"]["query"], &name);
                let inside = query.strip_prefix("label_values(").unwrap();
                let (of, label) = inside.trim_end_matches(')').rsplit_once(", ").unwrap();
                known.check(&format!("sum by ({label}) ({of})"), &name);
            }
        }
    }
    assert!(queries > 40, "{queries}");
}

#[test]
fn every_dashboard_is_one_that_grafana_takes_and_somebody_understands() {
    let mut ids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(
            ids.insert(text(&dashboard["uid"], &name).to_owned()),
            "{name}"
        );
        text(&dashboard["title"], &name);
        text(&dashboard["description"], &name);
        // What Grafana 11 writes; later ones take it.
        assert_eq!(dashboard["schemaVersion"], 39, "{name}");
        assert!(
            dashboard["id"].is_null(),
            "{name}: an id is of one installation"
        );
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        assert_eq!(variables[0]["type"], "datasource", "{name}");
        assert_eq!(variables[0]["name"], "datasource", "{name}");
        let mut numbers = BTreeSet::new();
        for panel in panels(&dashboard) {
            let of = format!("{name}: {}", panel["title"]);
            assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{of}");
            text(&panel["title"], &of);
        }
        for panel in graphs(&dashboard) {
            let of = format!("{name}: {}", panel["title"]);
            text(&panel["description"], &of);
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{of}");
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{of}");
            }
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            let unitless = ["state-timeline", "heatmap"];
            let kind = text(&panel["type"], &of);
            assert!(unit.is_string() || unitless.contains(&kind), "{of}");
        }
    }
    assert_eq!(ids.len(), 4);
}

#[test]
fn the_panels_of_a_dashboard_do_not_lie_on_each_other() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in panels(&dashboard) {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{name}: {}", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}: {}", panel["title"]);
                }
            }
        }
    }
}

/// Every state that a timeline adds up is one that is there, and none is forgotten.
#[test]
fn a_timeline_of_states_knows_each_state() {
    let states = [
        (
            "buttress_breaker_state",
            buttress::core::circuit::State::NAMES,
        ),
        (
            "buttress_endpoint_state",
            buttress::route::EndpointState::NAMES,
        ),
    ];
    let mut seen = 0;
    for (name, dashboard) in dashboards() {
        for panel in graphs(&dashboard).filter(|panel| panel["type"] == "state-timeline") {
            let query = text(&panel["targets"][0]["expr"], &name);
            let (_, all) = states.iter().find(|(of, _)| query.contains(of)).unwrap();
            let mapped = &panel["fieldConfig"]["defaults"]["mappings"][0]["options"];
            let mapped = mapped.as_object().unwrap();
            for (value, shown) in mapped {
                let shown = shown["text"].as_str().unwrap();
                let added = query.contains(&format!("{value} * max by"))
                    && query.contains(&format!("state=\"{shown}\""));
                assert!(
                    all.contains(&shown) && (added || value == "0"),
                    "{name}: {shown}"
                );
            }
            assert_eq!(mapped.len(), all.len(), "{name}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn every_rule_names_what_is_emitted_or_recorded() {
    let (rules, known) = (rules::all(), Known::emitted());
    let known = known.with_recorded(rules.iter().filter(|rule| !rule.alert));
    for rule in &rules {
        known.check(&rule.expr, &rule.name);
    }
    let alerts = rules.iter().filter(|rule| rule.alert).count();
    assert!(alerts > 20 && rules.len() - alerts > 20, "{}", rules.len());
}

#[test]
fn every_alert_has_its_runbook_its_test_and_its_words_and_no_runbook_is_left_over() {
    let runbooks: BTreeSet<String> = files("runbooks", "md").into_iter().map(|it| it.0).collect();
    let alerts: Vec<_> = rules::all().into_iter().filter(|rule| rule.alert).collect();
    let names: BTreeSet<String> = alerts.iter().map(|alert| alert.name.clone()).collect();
    assert_eq!(names.len(), alerts.len(), "two alerts of one name");
    assert_eq!(names, runbooks);
    let tests: String = files("rules/tests", "yaml")
        .into_iter()
        .map(|it| it.1)
        .collect();
    for alert in &alerts {
        let fires = format!("alertname=\"{}\"", alert.name);
        assert!(
            tests.contains(&fires),
            "{}: no test sees it fire",
            alert.name
        );
        let runbook = format!("runbook_url: runbooks/{}.md", alert.name);
        for needed in [&runbook, "summary:", "description:"] {
            assert!(alert.rest.contains(needed), "{}: no {needed}", alert.name);
        }
        let severities = ["severity: page", "severity: ticket", "severity: info"];
        let found = severities.iter().find(|it| alert.rest.contains(**it));
        let severity = found.unwrap_or_else(|| panic!("{}: no severity", alert.name));
        let page = std::fs::read_to_string(root().join(format!("runbooks/{}.md", alert.name)));
        let page = page.unwrap();
        assert!(
            page.starts_with(&format!("# {}\n", alert.name)),
            "{}",
            alert.name
        );
        let said = severity.replace("severity", "Severity");
        for part in [
            &*said,
            "## What it means",
            "## What to look at",
            "## What to do",
        ] {
            assert!(page.contains(part), "{}: no {part}", alert.name);
        }
    }
}

/// What stands in backquotes in a runbook and begins as a metric does is one.
#[test]
fn every_runbook_names_what_is_emitted_and_alerts_that_there_are() {
    let rules = rules::all();
    let known = Known::emitted().with_recorded(rules.iter().filter(|rule| !rule.alert));
    for (name, page) in files("runbooks", "md") {
        for quoted in page.split('`').skip(1).step_by(2) {
            if documented().contains_key(quoted) {
                continue;
            }
            let first = quoted.split(['{', '(', ' ', '[']).next().unwrap();
            let ours = ["buttress_", "http_", "process_", "tokio_", "job"];
            let is_query = ours.iter().any(|start| first.starts_with(start))
                || ["sum", "rate", "increase", "count"].contains(&first);
            if is_query {
                known.check(quoted, &name);
            }
        }
        for word in page.split(|char: char| !char.is_ascii_alphanumeric()) {
            if word.starts_with("Buttress") {
                let found = rules.iter().any(|rule| rule.alert && rule.name == word);
                assert!(found, "{name}: there is no alert {word}");
            }
        }
    }
}

#[test]
fn a_name_that_nothing_emits_is_found_out() {
    let known = Known::emitted();
    let wrong = [
        "sum(rate(buttress_breaker_call_total[5m]))",
        "sum(rate(http_server_request_duration_seconds[5m]))",
        "buttress_breaker_state{stat=\"open\"}",
        "sum by (braker) (buttress_breaker_state)",
        "butress_breaker_state == 1",
        "process_open_fds_total",
    ];
    for query in wrong {
        assert!(known.unknown(query).is_some(), "{query}");
    }
    let right = "histogram_quantile(0.9, sum by (le) (rate(http_server_request_duration_seconds_bucket\
                 {http_route=~\"$route\"}[$__rate_interval]))) > 1e-3 or time() - process_start_time_seconds";
    assert_eq!(known.unknown(right), None);
}
