//! Families of one name as one, without what no page can carry.

use std::borrow::Cow;
use std::collections::BTreeMap;

use buttress_core::metric::{Family, Kind, Label, Point};

use super::sum::add;

/// All points of one name.
pub(crate) struct Merged<'a> {
    /// Without the `_total` of counters.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// One for each set of labels.
    pub(crate) points: Vec<Cow<'a, Point>>,
}

impl Merged<'_> {
    /// What the name of each sample of a counter ends in.
    pub(crate) fn suffix(&self) -> &'static str {
        if self.kind == Kind::Counter {
            "_total"
        } else {
            ""
        }
    }
}

pub(crate) fn merge(families: &[Family]) -> Vec<Merged<'_>> {
    let mut merged: Vec<Merged<'_>> = Vec::new();
    let mut places = BTreeMap::new();
    let mut series = BTreeMap::new();
    for family in families.iter().filter(|family| is_name(family.name, ":")) {
        let name = base_name(family);
        let place = *places.entry(name).or_insert_with(|| {
            merged.push(Merged {
                name,
                help: family.help,
                kind: family.kind,
                points: Vec::new(),
            });
            merged.len() - 1
        });
        if let Some(found) = merged.get_mut(place)
            && found.kind == family.kind
        {
            let fit = |point: &&Point| point.labels.iter().all(|(name, _)| is_name(name, ""));
            for point in family.points.iter().filter(fit) {
                let mut labels: Vec<&Label> = point.labels.iter().collect();
                labels.sort_unstable();
                let at = *series.entry((place, labels)).or_insert(found.points.len());
                match found.points.get_mut(at) {
                    Some(same) => add(family.kind, same, point),
                    None => found.points.push(Cow::Borrowed(point)),
                }
            }
        }
    }
    merged
}

fn base_name(family: &Family) -> &'static str {
    match family.kind {
        Kind::Counter => family.name.strip_suffix("_total").unwrap_or(family.name),
        _ => family.name,
    }
}

/// A point's labels as plain text.
pub(crate) fn pairs(labels: &[Label]) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (*name, value.as_ref()))
}

/// Whether `name` is one that every Prometheus allows; `and` is allowed beside letters and digits.
fn is_name(name: &str, and: &str) -> bool {
    let part = |char: char| char.is_ascii_alphanumeric() || char == '_' || and.contains(char);
    name.chars().all(part) && name.starts_with(|char: char| !char.is_ascii_digit())
}
