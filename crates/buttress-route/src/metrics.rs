//! The pool's metrics.

use std::borrow::Cow;

use buttress_core::metric::{Collect, Family, Kind, Label, Value};

use crate::handle::RouterHandle;
use crate::snapshot::{EndpointSnapshot, EndpointState, PoolSnapshot};

impl<S: Send + Sync> Collect for RouterHandle<S> {
    fn collect(&self, into: &mut Vec<Family>) {
        let pool = self.snapshot();
        into.push(states(&pool));
        into.extend(gauges(&pool));
        into.push(picks(&pool));
        into.push(calls(&pool));
        // Where nobody asks the endpoints there are no checks to count.
        let decisions = decisions(&pool);
        into.extend(decisions.into_iter().filter(|it| !it.points.is_empty()));
        into.extend(of_the_pool(&pool));
    }
}

fn gauges(pool: &PoolSnapshot) -> [Family; 2] {
    let gauge = |name, help, value: fn(&EndpointSnapshot) -> f64| {
        one_each(pool, Family::new(name, Kind::Gauge, help), |endpoint| {
            Value::Gauge(value(endpoint))
        })
    };
    [
        gauge(
            "buttress_endpoint_weight",
            "How much the endpoint is to bear beside the others of its pool.",
            |endpoint| f64::from(endpoint.weight),
        ),
        gauge(
            "buttress_endpoint_in_flight",
            "Requests sent to the endpoint and not yet ended.",
            |endpoint| f64::from(endpoint.in_flight),
        ),
    ]
}

fn of_the_pool(pool: &PoolSnapshot) -> [Family; 2] {
    let gauge = |name, help, value| {
        let mut family = Family::new(name, Kind::Gauge, help);
        let labels = vec![("pool", Cow::Owned(pool.pool.to_string()))];
        family.push(labels, Value::Gauge(value));
        family
    };
    [
        gauge(
            "buttress_pool_slowdown",
            "How many times as long as at ease the answers of an endpoint in the middle of the pool take.",
            pool.slowdown,
        ),
        gauge(
            "buttress_pool_in_turn",
            "The share of the requests that all endpoints of the pool take in turn, for the others are overrun.",
            pool.in_turn,
        ),
    ]
}

fn picks(pool: &PoolSnapshot) -> Family {
    let family = Family::new(
        "buttress_endpoint_picks",
        Kind::Counter,
        "Requests sent to the endpoint, probes among them.",
    );
    one_each(pool, family, |endpoint| Value::Counter(endpoint.picks))
}

fn calls(pool: &PoolSnapshot) -> Family {
    let mut family = Family::new(
        "buttress_endpoint_calls",
        Kind::Counter,
        "Requests sent to the endpoint that have ended, by their outcome.",
    );
    for endpoint in &pool.endpoints {
        for (outcome, count) in endpoint.outcomes.named() {
            let mut labels = labels(pool, endpoint);
            labels.push(("outcome", Cow::Borrowed(outcome)));
            family.push(labels, Value::Counter(count));
        }
    }
    family
}

fn decisions(pool: &PoolSnapshot) -> [Family; 5] {
    [
        counted(
            pool,
            "buttress_endpoint_ejections",
            "Times the endpoint was thrown out, by the rule that did it.",
            "rule",
            |endpoint| &endpoint.ejections,
        ),
        counted(
            pool,
            "buttress_endpoint_ejections_suppressed",
            "Times a rule would have thrown the endpoint out and was held back, by the reason.",
            "reason",
            |endpoint| &endpoint.suppressed,
        ),
        counted(
            pool,
            "buttress_endpoint_shunned",
            "Times the endpoint was in and told to be given next to nothing, by the reason.",
            "reason",
            |endpoint| &endpoint.shunnings,
        ),
        counted(
            pool,
            "buttress_endpoint_probes",
            "Probes of the endpoint that ended, by their result; void says nothing either way.",
            "result",
            |endpoint| &endpoint.probes,
        ),
        counted(
            pool,
            "buttress_endpoint_checks",
            "Active checks of the endpoint that ended, by their result.",
            "result",
            |endpoint| &endpoint.checks,
        ),
    ]
}

fn states(pool: &PoolSnapshot) -> Family {
    let family = Family::new(
        "buttress_endpoint_state",
        Kind::StateSet,
        "What the pool is doing with the endpoint; 1 for the present state.",
    );
    one_each(pool, family, |endpoint| Value::State {
        label: "state",
        states: EndpointState::NAMES,
        current: endpoint.state.index(),
    })
}

fn one_each(
    pool: &PoolSnapshot,
    mut family: Family,
    value: impl Fn(&EndpointSnapshot) -> Value,
) -> Family {
    for endpoint in &pool.endpoints {
        family.push(labels(pool, endpoint), value(endpoint));
    }
    family
}

fn counted(
    pool: &PoolSnapshot,
    name: &'static str,
    help: &'static str,
    label: &'static str,
    counts: impl Fn(&EndpointSnapshot) -> &[(&'static str, u64)],
) -> Family {
    let mut family = Family::new(name, Kind::Counter, help);
    for endpoint in &pool.endpoints {
        for &(value, count) in counts(endpoint) {
            let mut labels = labels(pool, endpoint);
            labels.push((label, Cow::Borrowed(value)));
            family.push(labels, Value::Counter(count));
        }
    }
    family
}

fn labels(pool: &PoolSnapshot, endpoint: &EndpointSnapshot) -> Vec<Label> {
    vec![
        ("pool", Cow::Owned(pool.pool.to_string())),
        ("endpoint", Cow::Owned(endpoint.id.to_string())),
    ]
}
