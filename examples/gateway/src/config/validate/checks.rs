//! `[pool.check]`: what endpoints are asked, and how often.

use std::time::Duration;

use serde_spanned::Spanned;

use super::super::report::Report;
use super::super::{PoolCheck, PoolCheckKind, raw};
use super::{choice, count, duration};
use crate::settings;

/// What is written under the key `pool`.
#[derive(Clone, Copy)]
enum Kind {
    Http,
    Tcp,
}

pub(super) fn check(
    raw: &Spanned<raw::Check>,
    pool: &str,
    report: &mut Report<'_>,
) -> Option<PoolCheck> {
    let key = |what: &str| format!("{pool}.check.{what}");
    let written = raw.get_ref();
    let kind = kind(raw, &key, report)?;
    let default = settings::checks_by_default();
    let mut wait = |text: &Option<Spanned<raw::TimeText>>, what: &str, default: Duration| {
        duration(text.as_ref(), &key(what), report).unwrap_or(default)
    };
    let interval = wait(&written.interval, "interval", default.interval);
    let suspect = default.suspect_interval.min(interval);
    let suspect_interval = wait(&written.suspect_interval, "suspect_interval", suspect);
    let timeout = wait(&written.timeout, "timeout", default.timeout);
    Some(PoolCheck {
        kind,
        interval,
        suspect_interval,
        timeout,
        rise: count(written.rise.as_ref(), &key("rise"), report).unwrap_or(default.rise),
        fall: count(written.fall.as_ref(), &key("fall"), report).unwrap_or(default.fall),
    })
}

fn kind(
    raw: &Spanned<raw::Check>,
    key: &impl Fn(&str) -> String,
    report: &mut Report<'_>,
) -> Option<PoolCheckKind> {
    let written = raw.get_ref();
    let kinds = [("http", Kind::Http), ("tcp", Kind::Tcp)];
    let kind = match &written.kind {
        None => Kind::Http,
        some => choice(some.as_ref(), &key("kind"), &kinds, report)?,
    };
    let Some(path) = &written.path else {
        if matches!(kind, Kind::Tcp) {
            no_answer(written, key, report);
            return Some(PoolCheckKind::Tcp);
        }
        let message =
            "needs a path; add path = \"/healthz\", or kind = \"tcp\" to do no more than connect";
        report.add(raw.span(), &key("path"), message);
        return None;
    };
    if matches!(kind, Kind::Tcp) {
        let message = "a check that only connects asks for no path; remove it, or kind = \"tcp\"";
        report.add(path.span(), &key("path"), message);
        return None;
    }
    if let Some(text) = written.body_contains.as_ref()
        && text.get_ref().is_empty()
    {
        let message = "every body contains nothing; write what a good one contains, or remove it";
        report.add(text.span(), &key("body_contains"), message);
    }
    let statuses = written.statuses.iter().flatten();
    let statuses = statuses.filter_map(|it| status(it, &key("statuses"), report));
    let kind = PoolCheckKind::Http {
        path: path.get_ref().clone(),
        statuses: statuses.collect(),
        contains: written
            .body_contains
            .as_ref()
            .map(|it| it.get_ref().clone()),
    };
    if let Err(refused) = settings::http_check(&kind) {
        report.add(path.span(), &key("path"), refused.problem());
    }
    Some(kind)
}

/// Who only connects is answered nothing.
fn no_answer(written: &raw::Check, key: &impl Fn(&str) -> String, report: &mut Report<'_>) {
    let statuses = written.statuses.as_deref().and_then(<[_]>::first);
    let spans = [
        ("statuses", statuses.map(Spanned::span)),
        (
            "body_contains",
            written.body_contains.as_ref().map(Spanned::span),
        ),
    ];
    for (what, span) in spans {
        if let Some(span) = span {
            let message =
                "a check that only connects is answered nothing; remove it, or kind = \"tcp\"";
            report.add(span, &key(what), message);
        }
    }
}

fn status(written: &Spanned<i64>, key: &str, report: &mut Report<'_>) -> Option<u16> {
    let status = u16::try_from(*written.get_ref()).ok();
    let status = status.filter(|status| (100..=599).contains(status));
    if status.is_none() {
        let message = format!(
            "{} is no status; write one from 100 to 599",
            written.get_ref()
        );
        report.add(written.span(), key, message);
    }
    status
}
