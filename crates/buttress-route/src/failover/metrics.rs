//! Failover's metrics.

use std::borrow::Cow;

use buttress_core::metric::{Collect, Family, Kind, Value};

use super::handle::{FailoverHandle, FailoverSnapshot};

impl Collect for FailoverHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let seen = self.snapshot();
        into.push(by_reason(
            &seen,
            "buttress_failover_attempts",
            "Attempts after the first, by what was wrong with the one before.",
            &seen.resent,
        ));
        into.push(by_reason(
            &seen,
            "buttress_failover_given_up",
            "Failures that clients were answered with, by why they were not tried again.",
            &seen.given_up,
        ));
        let help = "Requests that another attempt answered well.";
        let mut recovered = Family::new("buttress_failover_recovered", Kind::Counter, help);
        recovered.push(vec![pool(&seen)], Value::Counter(seen.recovered));
        into.push(recovered);
        let help = "How many requests that may have reached an endpoint may be sent again now.";
        let mut budget = Family::new("buttress_failover_budget", Kind::Gauge, help);
        budget.push(vec![pool(&seen)], Value::Gauge(seen.budget as f64));
        into.push(budget);
    }
}

fn by_reason(
    seen: &FailoverSnapshot,
    name: &'static str,
    help: &'static str,
    counts: &[(&'static str, u64)],
) -> Family {
    let mut family = Family::new(name, Kind::Counter, help);
    for &(reason, count) in counts {
        let reason = ("reason", Cow::Borrowed(reason));
        family.push(vec![pool(seen), reason], Value::Counter(count));
    }
    family
}

fn pool(seen: &FailoverSnapshot) -> (&'static str, Cow<'static, str>) {
    ("pool", Cow::Owned(seen.pool.to_string()))
}
