//! The rules, read by their indentation: they are written in one way.

use crate::files;

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) alert: bool,
    pub(crate) expr: String,
    /// Labels and annotations, as they stand.
    pub(crate) rest: String,
}

/// Every rule of every file.
pub(crate) fn all() -> Vec<Rule> {
    let files = files("rules", "yaml").into_iter();
    files.flat_map(|(_, text)| read(&text)).collect()
}

fn read(text: &str) -> Vec<Rule> {
    let text = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let text = text.collect::<Vec<_>>().join("\n");
    let rules = text.split("\n      - ").skip(1);
    rules
        .map(|rule| {
            let (head, body) = rule.split_once('\n').unwrap();
            let (kind, name) = head.split_once(": ").unwrap();
            let body = body.strip_prefix("        expr: |\n").unwrap();
            // What is indented further is the expression.
            let end = body
                .lines()
                .take_while(|line| line.starts_with("          "))
                .map(|line| line.len() + 1)
                .sum::<usize>()
                .min(body.len());
            let (expr, rest) = body.split_at(end);
            assert!(["alert", "record"].contains(&kind), "{head}");
            Rule {
                name: name.to_owned(),
                alert: kind == "alert",
                expr: expr.to_owned(),
                rest: rest.to_owned(),
            }
        })
        .collect()
}
