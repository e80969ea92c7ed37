//! The queries of the dashboards, asked for real.

use std::path::Path;

use serde_json::Value;

use crate::server::Prometheus;

/// Prometheus answers each of them, and to most the demo has something to say: it has no objectives, no
/// clients that are measured, and nothing that is wrong with it.
pub(crate) async fn are_answered(prometheus: &Prometheus) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    let (mut asked, mut silent) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for (panel, query) in queries(&dashboard) {
            let answer = prometheus.query(&filled(query)).await;
            let series = answer.as_array();
            let series = series.unwrap_or_else(|| panic!("refused: {panel}: {query}"));
            asked += 1;
            if series.is_empty() {
                silent.push(panel);
            }
        }
    }
    println!("dashboards: {asked} queries answered, nothing to say to {silent:?}");
    assert!(
        asked > 40 && silent.len() * 3 < asked,
        "{silent:?} of {asked}"
    );
}

fn queries(dashboard: &Value) -> Vec<(String, &str)> {
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = Vec::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let title = panel["title"].as_str().unwrap().to_owned();
            queries.push((title, target["expr"].as_str().unwrap()));
        }
    }
    queries
}

/// With every variable at "all", and an interval that has a few scrapes in it.
fn filled(query: &str) -> String {
    let query = query.replace("$__rate_interval", "10s");
    let variables = [
        "$job",
        "$instance",
        "$http_route",
        "$route",
        "$pool",
        "$endpoint",
        "$breaker",
    ];
    variables
        .iter()
        .fold(query, |query, variable| query.replace(variable, ".*"))
}
