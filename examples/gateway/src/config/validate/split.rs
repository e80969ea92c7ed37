//! `[route.split]`: a canary that is another pool, and steps that rise.

use serde_spanned::Spanned;

use super::super::report::Report;
use super::super::{RouteSplit, raw, values};
use super::routes::{is_own, pool_index};
use super::{count, duration, ratio};
use crate::settings;

pub(super) fn check(
    written: &Spanned<raw::Split>,
    route: &raw::Route,
    pools: &[Spanned<raw::Pool>],
    (index, route_key): (usize, &str),
    report: &mut Report<'_>,
) -> RouteSplit {
    let raw = written.get_ref();
    let key = |what: &str| format!("{route_key}.split.{what}");
    let default = settings::split_by_default();
    let split = RouteSplit {
        canary: canary(written, route, pools, &key("canary"), report),
        key: tie(raw.key.as_ref(), &key("key"), report),
        steps: raw
            .steps
            .as_ref()
            .map_or(default.steps, |steps| steps.get_ref().clone()),
        step_for: duration(raw.step_for.as_ref(), &key("step_for"), report).unwrap_or(default.hold),
        min_calls: count(raw.min_calls.as_ref(), &key("min_calls"), report)
            .map_or(default.min_calls, |calls| calls.get().into()),
        window: duration(raw.window.as_ref(), &key("window"), report).unwrap_or(default.window),
        // The split says what it takes.
        significance: (raw.significance.as_ref()).map_or(default.significance, |it| *it.get_ref()),
        above: ratio(raw.above.as_ref(), &key("above"), report).unwrap_or(default.above),
        min_failures: count(raw.min_failures.as_ref(), &key("min_failures"), report)
            .map_or(default.min_failures, |failures| failures.get().into()),
        late_after: duration(raw.late_after.as_ref(), &key("late_after"), report)
            .unwrap_or(default.late_after),
    };
    if let Some(refused) = settings::split("route", &split).validate().err() {
        let name = match refused.field() {
            "hold" => "step_for",
            field => field,
        };
        let (path, key) = (format!("split.{name}"), key(name));
        // What is wrong already is not told twice.
        if !report.tells_of(&key) {
            report.add_in(("route", index, &path), &key, refused.problem());
        }
    }
    split
}

fn canary(
    written: &Spanned<raw::Split>,
    route: &raw::Route,
    pools: &[Spanned<raw::Pool>],
    key: &str,
    report: &mut Report<'_>,
) -> usize {
    match &written.get_ref().canary {
        None => {
            let message = "a split needs a pool for its canary; add canary = \"…\"";
            report.add(written.span(), key, message);
            0
        }
        Some(pool) if is_own(pool, route) => {
            let message = "the canary would be the pool that it is held against; name another pool";
            report.add(pool.span(), key, message);
            0
        }
        Some(pool) => pool_index(pool, pools, key, report),
    }
}

fn tie(
    text: Option<&Spanned<String>>,
    key: &str,
    report: &mut Report<'_>,
) -> Option<super::super::PoolAffinity> {
    let text = text?;
    values::affinity(text.get_ref())
        .map_err(|message| report.add(text.span(), key, message))
        .ok()
}
