//! `/status`: what every room knows, as JSON.

use buttress::breaker::BreakerHandle;
use buttress::core::clock::Instant;
use buttress::core::verdict::{Action, Verdict};
use buttress::latency::{LatencyHandle, Quantile, RouteSnapshot, WindowSnapshot};
use buttress::route::discover::DiscoverySnapshot;
use buttress::route::failover::FailoverSnapshot;
use buttress::route::split::{ArmSnapshot, Stage};
use buttress::route::{Change, EndpointSnapshot, Judged, LevelSnapshot, Policy, Weights};
use buttress::telemetry::access;
use serde_json::{Value, json};

use crate::rooms::{PoolRoom, Rooms, RouteSplit};

/// The routes: their percentiles by window, and what is under way.
pub fn routes(latency: &LatencyHandle) -> Value {
    latency.snapshot().routes.iter().map(route).collect()
}

/// The breakers: state, counts, and why they are as they are.
pub fn breakers(rooms: &Rooms) -> Value {
    rooms
        .routes
        .iter()
        .map(|route| breaker(&route.breaker))
        .collect()
}

/// The canaries: how far each is let in, how it does beside the stable pool, and why it is where it is.
pub fn splits(rooms: &Rooms) -> Value {
    let splits = rooms.routes.iter().filter_map(|route| route.split.as_ref());
    splits.map(split).collect()
}

/// The pools: every endpoint with its state, its evidence and its last verdict.
pub fn pools(rooms: &Rooms) -> Value {
    rooms.pools.iter().map(pool).collect()
}

/// Where correlation IDs came from, and why some were replaced.
pub fn correlation(rooms: &Rooms) -> Value {
    let now = rooms.correlation.snapshot();
    json!({
        "minted": now.minted,
        "accepted": now.accepted,
        "inherited": now.inherited,
        "replaced": {
            "empty": now.empty,
            "too_long": now.too_long,
            "charset": now.charset,
            "repeated": now.repeated,
        },
    })
}

fn route(route: &RouteSnapshot) -> Value {
    json!({
        "route": &*route.route,
        "in_flight": route.in_flight,
        "requests": route.total.count(),
        "windows": route.windows.iter().map(window).collect::<Value>(),
    })
}

fn window(window: &WindowSnapshot) -> Value {
    let of = window.percentiles();
    json!({
        "seconds": window.length.as_secs_f64(),
        "requests": window.counts.count(),
        "p50_ms": millis(&of.p50),
        "p90_ms": millis(&of.p90),
        "p95_ms": millis(&of.p95),
        "p99_ms": millis(&of.p99),
        "p999_ms": millis(&of.p999),
    })
}

/// `null` where there are too few samples to know.
fn millis(quantile: &Quantile) -> Value {
    quantile
        .value()
        .map_or(Value::Null, |value| json!(access::millis(value)))
}

fn breaker(handle: &BreakerHandle) -> Value {
    let now = handle.snapshot();
    json!({
        "breaker": &*now.name,
        "state": now.state.as_str(),
        "for_seconds": now.since.as_secs_f64(),
        "retry_after_seconds": now.retry_after.map(|wait| wait.as_secs_f64()),
        "attempt": now.attempt,
        "share": now.share,
        "calls": {
            "success": now.calls.success,
            "failure": now.calls.failure,
            "slow": now.calls.slow,
            "ignored": now.calls.ignored,
            "abandoned": now.calls.abandoned,
        },
        "stale": now.stale,
        "rejected": now.rejected,
        "verdict": now.verdict.map(|verdict| verdict.to_string()),
    })
}

fn split(split: &RouteSplit) -> Value {
    let now = split.handle.snapshot();
    let step = match now.stage {
        // As people count.
        Stage::Step(index) => json!(index + 1),
        _ => Value::Null,
    };
    json!({
        "route": &*now.split,
        "canary": &*split.canary,
        "stage": now.stage.as_str(),
        "step": step,
        "share": now.share,
        "for_seconds": now.at.saturating_since(now.since).as_secs_f64(),
        "stable_calls": arm(&now.stable),
        "canary_calls": arm(&now.canary),
        "verdict": now.last_verdict.map(|verdict| verdict.to_string()),
    })
}

fn arm(arm: &ArmSnapshot) -> Value {
    let [success, failure, other] = arm.totals;
    json!({
        "recent": arm.calls,
        "recent_failures": arm.failures,
        "success": success,
        "failure": failure,
        "other": other,
    })
}

fn pool(pool: &PoolRoom) -> Value {
    let (now, set) = (pool.router.snapshot(), pool.router.config());
    let load_bound = match set.policy {
        // JSON has no infinity, at which nobody has too much.
        Policy::ConsistentHash { bound } => Some(bound).filter(|bound| bound.is_finite()),
        _ => None,
    };
    let endpoints = now
        .endpoints
        .iter()
        .map(|each| endpoint(pool, now.at, each));
    json!({
        "pool": &*now.pool,
        "pick": now.policy,
        "levels": now.levels.iter().map(level).collect::<Value>(),
        "load_bound": load_bound,
        "noise_band": set.noise_band,
        "remember_seconds": set.remember.as_secs_f64(),
        "max_ejected": now.max_ejected,
        "slowdown": now.slowdown,
        "in_turn": now.in_turn,
        "failure_weights": weights(&set.rules.weights),
        "failover": failover(&pool.failover.snapshot()),
        "discovery": pool.discovery.as_ref().map(|it| discovery(now.at, &it.snapshot())),
        "endpoints": endpoints.collect::<Value>(),
    })
}

fn weights(weights: &Weights) -> Value {
    json!({
        "connect": weights.connect,
        "transport": weights.transport,
        "deadline": weights.deadline,
        "answer": weights.answer,
        "overloaded": weights.overloaded,
        "body": weights.body,
        "panic": weights.panic,
    })
}

fn discovery(at: Instant, now: &DiscoverySnapshot) -> Value {
    let learned = now.learned_at.map(|learned| at.saturating_since(learned));
    json!({
        "source": now.source,
        "endpoints": now.endpoints,
        "learned_seconds_ago": learned.map(|ago| ago.as_secs_f64()),
        "answers": {
            "changed": now.changed,
            "unchanged": now.unchanged,
            "refused": now.refused,
        },
        "problem": now.problem.as_ref().map(ToString::to_string),
    })
}

fn failover(now: &FailoverSnapshot) -> Value {
    let by_reason = |counts: &[(&'static str, u64)]| -> Value {
        let counts = counts.iter();
        counts
            .map(|(reason, count)| ((*reason).to_owned(), json!(count)))
            .collect()
    };
    json!({
        "enabled": now.enabled,
        "attempts": by_reason(&now.resent),
        "recovered": now.recovered,
        "given_up": by_reason(&now.given_up),
        "budget": now.budget,
    })
}

fn level(level: &LevelSnapshot) -> Value {
    json!({
        "priority": level.priority,
        "distance": level.distance,
        "endpoints": level.endpoints,
        "share": level.share,
    })
}

fn endpoint(pool: &PoolRoom, now: Instant, endpoint: &EndpointSnapshot) -> Value {
    json!({
        "endpoint": &*endpoint.id,
        "state": endpoint.state.as_str(),
        "for_seconds": now.saturating_since(endpoint.since).as_secs_f64(),
        "retry_after_seconds": endpoint.retry_after.map(|wait| wait.as_secs_f64()),
        "weight": endpoint.weight,
        "priority": endpoint.priority,
        "locality": endpoint.locality.as_deref(),
        "in_flight": endpoint.in_flight,
        "tunnels": pool.times.get(&endpoint.id).map(|times| times.tunnels()),
        "picks": endpoint.picks,
        "share": endpoint.share,
        "given": endpoint.given,
        "suspect": endpoint.suspect,
        "doubted": endpoint.doubted,
        "shunned": endpoint.shunned.as_ref().map(verdict),
        "reported_utilization": endpoint.reported.map(|it| it.utilization),
        "success_ratio": endpoint.success_ratio,
        "latency_ms": endpoint.latency.map(access::millis),
        "cost_ms": endpoint.cost * 1e3,
        "windows": pool.windows(&endpoint.id).iter().map(window).collect::<Value>(),
        "verdict": endpoint.last_verdict.as_ref().map(ToString::to_string),
        "verdicts": endpoint.verdicts.iter().rev().map(|each| judged(now, each)).collect::<Value>(),
    })
}

/// A decision with its evidence. `held_back_by` says what suppressed it.
fn judged(now: Instant, judged: &Judged) -> Value {
    let (from, to) = match judged.change {
        Change::Transition { from, to } => (Some(from.as_str()), Some(to.as_str())),
        _ => (None, None),
    };
    let held_back_by = match &judged.verdict.action {
        Action::Suppressed(why) => Some(why),
        _ => None,
    };
    let mut told = json!({
        "seconds_ago": now.saturating_since(judged.at).as_secs_f64(),
        "times": judged.times,
        "from": from,
        "to": to,
        "held_back_by": held_back_by,
    });
    if let (Some(told), Value::Object(mut why)) = (told.as_object_mut(), verdict(&judged.verdict)) {
        told.append(&mut why);
    }
    told
}

/// Why, with the evidence.
fn verdict(verdict: &Verdict) -> Value {
    json!({
        "rule": verdict.rule,
        "observed": verdict.observed,
        "threshold": verdict.threshold,
        "samples": verdict.samples,
        "window_seconds": verdict.window.map(|window| window.as_secs_f64()),
        "peers": verdict.peers,
        "text": verdict.to_string(),
    })
}
