//! The queries of the dashboards, asked for real.

use std::path::Path;

use serde_json::Value;

use crate::server::Prometheus;
use crate::until;

/// Prometheus answers each of them, and to most the demo has something to say as soon as there are rates: it
/// has no objectives, no clients that are measured, no checks, canaries or shadows, and nothing that is wrong with it.
pub(crate) async fn are_answered(prometheus: &Prometheus) {
    let queries = all();
    assert!(queries.len() > 40, "{}", queries.len());
    let silent = until("something to say to most queries", || async {
        let silent = silent(prometheus, &queries).await;
        (silent.len() * 5 < queries.len() * 2).then_some(silent)
    });
    let (asked, silent) = (queries.len(), silent.await);
    println!("dashboards: {asked} queries answered, nothing to say to {silent:?}");
}

/// The panels to which there is nothing to say; no query may be refused.
async fn silent<'a>(prometheus: &Prometheus, queries: &'a [(String, String)]) -> Vec<&'a str> {
    let mut silent = Vec::new();
    for (panel, query) in queries {
        let answer = prometheus.query(query).await;
        let series = answer.as_array();
        let series = series.unwrap_or_else(|| panic!("refused: {panel}: {query}"));
        if series.is_empty() {
            silent.push(panel.as_str());
        }
    }
    silent
}

/// The queries of all dashboards, by their panel.
fn all() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "json") {
            let text = std::fs::read_to_string(&path).unwrap();
            let dashboard: Value = serde_json::from_str(&text).unwrap();
            let queries = queries(&dashboard).into_iter();
            all.extend(queries.map(|(panel, query)| (panel, filled(query))));
        }
    }
    all
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
