//! What rules count, and what their windows hold.

#![allow(unreachable_pub, reason = "a part of one test binary")]

use std::time::Duration;

use buttress_breaker::{Rule, Window};

/// Buckets of the window of time, and how wide each is.
pub const BUCKETS: u64 = 16;

/// What a rule counts as bad; slow in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Failures,
    Timeouts,
    Slow(u64),
    FailuresOrSlow(u64),
}

pub type Record = Vec<(u64, bool)>;

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

pub fn kind(rule: &Rule) -> Option<Kind> {
    match rule {
        Rule::FailureRate { .. } | Rule::Adaptive { .. } => Some(Kind::Failures),
        Rule::SlowRate { slower_than, .. } => Some(Kind::Slow(nanos(*slower_than))),
        Rule::FailureOrSlowRate { slower_than, .. } => {
            Some(Kind::FailuresOrSlow(nanos(*slower_than)))
        }
        Rule::Timeouts { .. } => Some(Kind::Timeouts),
        _ => None,
    }
}

/// Whether what one has counted means the same to the other: what is slow may change its meaning.
pub fn is_like(one: &Rule, other: &Rule) -> bool {
    let counting = |rule: &Rule| match kind(rule)? {
        Kind::Slow(_) => Some(Kind::Slow(0)),
        Kind::FailuresOrSlow(_) => Some(Kind::FailuresOrSlow(0)),
        kind => Some(kind),
    };
    let is_time = |rule: &Rule| rule.window().map(|window| window.as_time().is_some());
    counting(one).is_some() && counting(one) == counting(other) && is_time(one) == is_time(other)
}

/// What a window holds of what another of its kind held: its newest calls, or its buckets.
pub fn resized(mut record: Record, was: &Rule, rule: &Rule, now: u64) -> Record {
    match (was.window(), rule.window()) {
        (Some(Window::Calls(old)), Some(Window::Calls(new))) => {
            let kept = record.len().min(old.min(new) as usize);
            record.split_off(record.len() - kept)
        }
        (Some(Window::Time(old)), Some(Window::Time(_))) => {
            let width = nanos(old) / BUCKETS;
            record.retain(|(at, _)| at / width + BUCKETS > now / width);
            let at_its_start = |(at, bad)| (at / width * width, bad);
            record.into_iter().map(at_its_start).collect()
        }
        _ => unreachable!(),
    }
}

/// How wide the buckets are in which calls in flight are watched for a threshold.
pub fn width(threshold: u64) -> u64 {
    1 << (threshold / 16).ilog2()
}

pub fn memory(rule: &Rule) -> Option<Duration> {
    match rule {
        Rule::Adaptive { baseline, .. } => Some(*baseline),
        _ => None,
    }
}
