//! A split as metric families.

use std::borrow::Cow;

use buttress_core::metric::{Collect, Family, Kind, Value};

use super::handle::{ArmSnapshot, SplitHandle, SplitSnapshot};
use super::shared::{OUTCOMES, ROLLBACKS};

type Label = (&'static str, Cow<'static, str>);

impl Collect for SplitHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let seen = self.snapshot();
        let help = "The share of the requests that goes to the canary, 0 to 1.";
        let mut share = Family::new("buttress_split_share", Kind::Gauge, help);
        share.push(vec![split(&seen)], Value::Gauge(seen.share));
        into.push(share);
        let help = "Calls that ended, by where they went and how they ended.";
        let mut calls = Family::new("buttress_split_calls", Kind::Counter, help);
        count(&mut calls, &seen, "stable", seen.stable);
        count(&mut calls, &seen, "canary", seen.canary);
        into.push(calls);
        let help = "How often the canary was rolled back, by what.";
        let mut rollbacks = Family::new("buttress_split_rollbacks", Kind::Counter, help);
        for (rule, count) in ROLLBACKS.into_iter().zip(self.rollbacks()) {
            rollbacks.push(
                vec![split(&seen), label("rule", rule)],
                Value::Counter(count),
            );
        }
        into.push(rollbacks);
    }
}

fn count(family: &mut Family, seen: &SplitSnapshot, arm: &'static str, of: ArmSnapshot) {
    for (outcome, count) in OUTCOMES.into_iter().zip(of.totals) {
        let labels = vec![split(seen), label("arm", arm), label("outcome", outcome)];
        family.push(labels, Value::Counter(count));
    }
}

const fn label(name: &'static str, value: &'static str) -> Label {
    (name, Cow::Borrowed(value))
}

fn split(seen: &SplitSnapshot) -> Label {
    ("split", Cow::Owned(seen.split.to_string()))
}
