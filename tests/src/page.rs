//! A Prometheus page, read by the letter of its text format.

use std::collections::BTreeMap;

/// The samples of a page.
#[derive(Clone, Debug)]
pub struct Metrics(Vec<Sample>);

/// One sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name, with its suffix.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Metrics {
    /// Reads a page.
    pub fn read(page: &str) -> Self {
        Self(
            page.lines()
                .filter(|line| !line.starts_with('#'))
                .map(sample)
                .collect(),
        )
    }

    /// The samples called `name` that have all of `labels`.
    pub fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(k, v)| sample.labels.get(*k).is_some_and(|l| l == v))
        };
        self.0.iter().filter(has).collect()
    }

    /// The sum of the samples called `name` that have all of `labels`; `None` if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let all = self.all(name, labels);
        (!all.is_empty()).then(|| all.iter().map(|sample| sample.value).sum())
    }
}

/// `name{label="value",…} value`; the labels of these tests hold no quotes.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.trim_end_matches('}')),
        None => (series, ""),
    };
    let labels = labels.split_terminator("\",").map(|label| {
        let (name, value) = label.split_once("=\"").unwrap();
        (
            name.trim_start_matches(',').to_owned(),
            value.trim_end_matches('"').to_owned(),
        )
    });
    Sample {
        name: name.to_owned(),
        labels: labels.collect(),
        value: value.parse().unwrap(),
    }
}
