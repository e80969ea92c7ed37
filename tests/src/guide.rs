//! What the guide says of every metric.

use std::collections::{BTreeMap, BTreeSet};

const GUIDE: &str = include_str!("../../crates/buttress/src/guide/metrics.md");

/// What is said of one metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documented {
    /// Counter, gauge, histogram or state set.
    pub kind: String,
    /// All that any of its series has.
    pub labels: BTreeSet<String>,
}

/// Every metric of the guide by its name.
pub fn documented() -> BTreeMap<String, Documented> {
    let sections = GUIDE.split("\n## `").skip(1);
    let metrics = sections.map(|section| {
        let (name, text) = section.split_once("`\n").unwrap();
        for part in [
            "- **Kind:** ",
            "- **Labels:** ",
            "- **Moves:** ",
            "- **Read:** ",
        ] {
            assert_eq!(text.matches(part).count(), 1, "{name}: {part}");
        }
        let kind = after(text, "- **Kind:** ");
        let kind = kind.split([',', '.', ';']).next().unwrap();
        let labels = after(text, "- **Labels:** ");
        let documented = Documented {
            kind: kind.to_owned(),
            labels: labels
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect(),
        };
        (name.to_owned(), documented)
    });
    metrics.collect()
}

/// The item that begins with `start`, to the next one.
fn after<'a>(text: &'a str, start: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split("\n- ").next().unwrap()
}
