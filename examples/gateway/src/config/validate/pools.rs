//! `[[pool]]`: names that differ, endpoints that exist.

use std::time::Duration;

use buttress::route::{SlowRate, Weights};
use http::StatusCode;
use serde_spanned::Spanned;

use super::super::report::Report;
use super::super::{
    FailureRate, Pool, PoolAffinity, PoolFailover, PoolHealth, PoolPick, Protocol, raw, values,
};
use super::{checks, choice, count, discover, duration, duration_or_zero, named, ratio};
use crate::settings;

pub(super) fn check(pools: &[Spanned<raw::Pool>], report: &mut Report<'_>) -> Vec<Pool> {
    if pools.is_empty() {
        report.add_without_place(
            "pool",
            "there is no pool; add a [[pool]] with its endpoints",
        );
    }
    let mut checked: Vec<Pool> = Vec::with_capacity(pools.len());
    for (index, raw) in pools.iter().enumerate() {
        let pool = pool(index, raw, report);
        if checked
            .iter()
            .any(|other| other.name == pool.name && !pool.name.is_empty())
        {
            let place = raw
                .get_ref()
                .name
                .as_ref()
                .map_or(raw.span(), Spanned::span);
            let message = format!(
                "a pool named \"{}\" came before; names have to differ",
                pool.name
            );
            report.add(place, &format!("pool[{index}].name"), message);
        }
        // Layers would refuse a name as well.
        if values::name(&pool.name).is_ok()
            && let Some((path, problem)) = refused(&pool)
        {
            let key = format!("pool.{}.{path}", pool.name);
            // What is wrong already is not told twice.
            if !report.tells_of(&key) {
                report.add_in(("pool", index, &path), &key, problem);
            }
        }
        checked.push(pool);
    }
    checked
}

/// What a layer refuses of a pool's settings, or makes no sense to it: the key in the pool's table, and what is wrong with it.
fn refused(pool: &Pool) -> Option<(String, String)> {
    if pool.health.failure_weights == Weights::all(0) {
        let problem = "all are 0, and no rule would see a failure; let one weigh 1 or more";
        return Some(("health.failure_weights".to_owned(), problem.to_owned()));
    }
    let of_router = settings::router(pool).validate().err();
    if let Some(refused) = of_router {
        return Some((key_of(refused.field()), refused.problem().to_owned()));
    }
    let of_failover = settings::failover(pool).validate().err();
    let of_checks = pool.check.as_ref();
    let of_checks = of_checks.and_then(|it| settings::checks(it).validate().err());
    let (table, refused) = of_failover
        .map(|it| ("failover", it))
        .or(of_checks.map(|it| ("check", it)))?;
    let path = format!("{table}.{}", refused.field());
    Some((path, refused.problem().to_owned()))
}

/// The key that says what the router calls `field`.
fn key_of(field: &str) -> String {
    match field {
        "noise_band" => field.to_owned(),
        "policy.bound" => "load_bound".to_owned(),
        "rules.failure_rate.threshold" => "health.failure_rate.ratio".to_owned(),
        _ if field.starts_with("open_for") => "health.open_for".to_owned(),
        _ => match field.strip_prefix("rules.weights.") {
            Some(kind) => format!("health.failure_weights.{kind}"),
            None => format!("health.{}", field.strip_prefix("rules.").unwrap_or(field)),
        },
    }
}

fn pool(index: usize, raw: &Spanned<raw::Pool>, report: &mut Report<'_>) -> Pool {
    let place = raw.span();
    let raw = raw.get_ref();
    let (name, key) = named("pool", index, raw.name.as_ref(), place.clone(), report);
    let protocols = [
        ("http1", Protocol::Http1),
        ("h1", Protocol::Http1),
        ("h2", Protocol::Http2),
    ];
    let protocol = choice(
        raw.protocol.as_ref(),
        &format!("{key}.protocol"),
        &protocols,
        report,
    );
    let (pick, affinity) = pick(raw, &key, report);
    let load_bound = load_bound(raw, pick, &key, report);
    let remember = duration_or_zero(raw.remember.as_ref(), &format!("{key}.remember"), report);
    let (endpoints, discover) = discover::check(raw, &key, place, report);
    let mut wait = |text: &Option<Spanned<raw::TimeText>>, what: &str, default: u64| {
        duration(text.as_ref(), &format!("{key}.{what}"), report)
            .unwrap_or(Duration::from_secs(default))
    };
    Pool {
        name,
        protocol: protocol.unwrap_or(Protocol::Http1),
        connect_timeout: wait(&raw.connect_timeout, "connect_timeout", 1),
        head_timeout: wait(&raw.head_timeout, "head_timeout", 30),
        body_idle_timeout: wait(&raw.body_idle_timeout, "body_idle_timeout", 60),
        keep_alive: wait(&raw.keep_alive, "keep_alive", 30),
        pick,
        affinity,
        load_bound,
        // The router says what it takes.
        noise_band: raw
            .noise_band
            .as_ref()
            .map_or(Pool::NOISE_BAND, |it| *it.get_ref()),
        remember: remember.unwrap_or(Pool::REMEMBER),
        locality: raw.locality.as_ref().map(|it| it.get_ref().clone()),
        reported_load: raw.reported_load.unwrap_or(false),
        endpoints,
        discover,
        health: health(&raw.health, &key, report),
        check: raw
            .check
            .as_ref()
            .and_then(|check| checks::check(check, &key, report)),
        failover: failover(&raw.failover, &key, report),
    }
}

fn failover(raw: &raw::Failover, pool: &str, report: &mut Report<'_>) -> PoolFailover {
    let default = PoolFailover::defaults();
    let key = |what: &str| format!("{pool}.failover.{what}");
    let max_body = raw.max_body.as_ref().and_then(|value| {
        values::bytes(value.get_ref())
            .map_err(|message| report.add(value.span(), &key("max_body"), message))
            .ok()
    });
    let statuses = raw.statuses.as_ref().map(|list| {
        let known = list
            .iter()
            .filter_map(|it| status(it, &key("statuses"), report));
        known.collect()
    });
    PoolFailover {
        enabled: raw.enabled.unwrap_or(default.enabled),
        attempts: count(raw.attempts.as_ref(), &key("attempts"), report)
            .unwrap_or(default.attempts),
        within: duration(raw.within.as_ref(), &key("within"), report).unwrap_or(default.within),
        statuses: statuses.unwrap_or(default.statuses),
        // Without a limit is with the largest there is.
        max_body: max_body.map_or(default.max_body, |limit| limit.unwrap_or(u64::MAX)),
        idempotency_key: raw.idempotency_key.unwrap_or(default.idempotency_key),
        budget: ratio(raw.budget.as_ref(), &key("budget"), report).unwrap_or(default.budget),
    }
}

/// An answer that another endpoint might give better is an error of a server.
fn status(written: &Spanned<i64>, key: &str, report: &mut Report<'_>) -> Option<StatusCode> {
    let number = u16::try_from(*written.get_ref()).ok();
    let status = number.and_then(|it| StatusCode::from_u16(it).ok());
    let status = status.filter(StatusCode::is_server_error);
    if status.is_none() {
        let message = format!(
            "{} is no error of a server; write a status from 500 to 599",
            written.get_ref()
        );
        report.add(written.span(), key, message);
    }
    status
}

/// By what is picked, and what ties a request to an endpoint: one is of no use without the other.
fn pick(raw: &raw::Pool, pool: &str, report: &mut Report<'_>) -> (PoolPick, Option<PoolAffinity>) {
    let choices = [
        ("expected_cost", PoolPick::ExpectedCost),
        ("round_robin", PoolPick::RoundRobin),
        ("random", PoolPick::Random),
        ("weighted_random", PoolPick::WeightedRandom),
        ("least_request", PoolPick::LeastRequest),
        ("peak_ewma", PoolPick::PeakEwma),
        ("consistent_hash", PoolPick::ConsistentHash),
    ];
    let key = format!("{pool}.pick");
    let pick = choice(raw.pick.as_ref(), &key, &choices, report).unwrap_or_default();
    let affinity = raw.affinity.as_ref().and_then(|text| {
        let key = format!("{pool}.affinity");
        if pick != PoolPick::ConsistentHash {
            let message = "only pick = \"consistent_hash\" heeds it; add that or remove this";
            report.add(text.span(), &key, message);
        }
        let affinity = values::affinity(text.get_ref());
        affinity
            .map_err(|it| report.add(text.span(), &key, it))
            .ok()
    });
    if let Some(text) = raw.pick.as_ref()
        && pick == PoolPick::ConsistentHash
        && raw.affinity.is_none()
    {
        let message = "needs a key; add affinity = \"header:NAME\", \"cookie:NAME\" or \"path\"";
        report.add(text.span(), &key, message);
    }
    (pick, affinity)
}

/// How many times its share of the load an endpoint may have whose key is asked for; the router says what it takes.
fn load_bound(raw: &raw::Pool, pick: PoolPick, pool: &str, report: &mut Report<'_>) -> f64 {
    let Some(written) = &raw.load_bound else {
        return Pool::LOAD_BOUND;
    };
    if pick != PoolPick::ConsistentHash {
        let message = "only pick = \"consistent_hash\" heeds it; add that or remove this";
        report.add(written.span(), &format!("{pool}.load_bound"), message);
    }
    *written.get_ref()
}

fn failure_rate(raw: &raw::PeerRate, table: &str, report: &mut Report<'_>) -> FailureRate {
    let default = PoolHealth::DEFAULT.failure_rate;
    let key = |what: &str| format!("{table}.{what}");
    let share = ratio(raw.ratio.as_ref(), &key("ratio"), report);
    if let Some(written) = raw.ratio.as_ref().filter(|_| share == Some(0.0)) {
        let message = "at 0 every endpoint would be out; write more than 0, such as 0.5";
        report.add(written.span(), &key("ratio"), message);
    }
    FailureRate {
        ratio: share.unwrap_or(default.ratio),
        min_calls: count(raw.min_calls.as_ref(), &key("min_calls"), report)
            .unwrap_or(default.min_calls),
        window: duration(raw.window.as_ref(), &key("window"), report).unwrap_or(default.window),
    }
}

/// When an endpoint is slow; the router says how many times is late.
fn slow_rate(raw: &raw::SlowRate, table: &str, report: &mut Report<'_>) -> SlowRate {
    let default = PoolHealth::DEFAULT.slow_rate;
    let key = |what: &str| format!("{table}.{what}");
    let above = ratio(raw.above_peers.as_ref(), &key("above_peers"), report);
    let calls = count(raw.min_calls.as_ref(), &key("min_calls"), report);
    let window = duration(raw.window.as_ref(), &key("window"), report);
    let times = raw.times.as_ref().map(|it| *it.get_ref());
    SlowRate::new(
        above.unwrap_or(default.above_peers),
        window.unwrap_or(default.window),
        calls.unwrap_or(default.min_calls),
    )
    .times(times.unwrap_or(default.times))
}

/// How much a failure of each kind weighs; the router says what it takes.
fn failure_weights(raw: &raw::FailureWeights, table: &str, report: &mut Report<'_>) -> Weights {
    let default = PoolHealth::DEFAULT.failure_weights;
    let mut weight = |written: &Option<Spanned<i64>>, kind: &str, default: u32| {
        let Some(written) = written else {
            return default;
        };
        u32::try_from(*written.get_ref()).unwrap_or_else(|_| {
            let message = format!(
                "{} is not a weight; write a number such as 1, or 0, which no rule sees",
                written.get_ref()
            );
            report.add(written.span(), &format!("{table}.{kind}"), message);
            default
        })
    };
    default
        .connect(weight(&raw.connect, "connect", default.connect))
        .transport(weight(&raw.transport, "transport", default.transport))
        .deadline(weight(&raw.deadline, "deadline", default.deadline))
        .answer(weight(&raw.answer, "answer", default.answer))
        .overloaded(weight(&raw.overloaded, "overloaded", default.overloaded))
        .body(weight(&raw.body, "body", default.body))
        .panic(weight(&raw.panic, "panic", default.panic))
}

/// How long an endpoint stays out that users' requests probe.
const OPEN_FOR_USERS: Duration = Duration::from_secs(5);

fn health(raw: &raw::Health, pool: &str, report: &mut Report<'_>) -> PoolHealth {
    let default = PoolHealth::DEFAULT;
    let key = |what: &str| format!("{pool}.health.{what}");
    let probe_by_copies = raw.probe_by_copies.unwrap_or(default.probe_by_copies);
    // Where each probe costs a user an answer there are fewer.
    let open_for_default = if probe_by_copies {
        default.open_for
    } else {
        OPEN_FOR_USERS
    };
    PoolHealth {
        probe_by_copies,
        consecutive_failures: count(
            raw.consecutive_failures.as_ref(),
            &key("consecutive_failures"),
            report,
        )
        .unwrap_or(default.consecutive_failures),
        failure_rate: failure_rate(&raw.failure_rate, &key("failure_rate"), report),
        slow_rate: slow_rate(&raw.slow_rate, &key("slow_rate"), report),
        failure_weights: failure_weights(&raw.failure_weights, &key("failure_weights"), report),
        above_peers: ratio(
            raw.failure_rate.above_peers.as_ref(),
            &key("failure_rate.above_peers"),
            report,
        )
        .unwrap_or(default.above_peers),
        open_for: duration(raw.open_for.as_ref(), &key("open_for"), report)
            .unwrap_or(open_for_default),
        max_ejected: ratio(raw.max_ejected.as_ref(), &key("max_ejected"), report)
            .unwrap_or(default.max_ejected),
        decay: duration(raw.decay.as_ref(), &key("decay"), report).unwrap_or(default.decay),
        // The router says what it takes.
        overprovisioning: raw
            .overprovisioning
            .as_ref()
            .map_or(default.overprovisioning, |it| *it.get_ref()),
        fail_closed: raw.fail_closed.unwrap_or(default.fail_closed),
    }
}
