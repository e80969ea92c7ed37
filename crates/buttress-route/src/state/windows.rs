//! What ended in the last seconds.

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::window::TimeWindow;

use super::lateness::{self, Lateness};
use crate::config::Config;
use crate::peers::Peers;

/// The windows that the rules look at. Told apart by one word: nobody who has no rule for being late pays for it.
#[derive(Debug)]
pub(super) enum Windows {
    /// How many failed.
    Failures(TimeWindow),
    /// The same if there is a rule for it, and how many were late.
    Both(Option<TimeWindow>, Box<Lateness>),
    /// No rule asks.
    None,
}

impl Windows {
    pub(super) fn new(config: &Config) -> Self {
        Self::of(
            config
                .rules
                .failure_rate
                .map(|rate| TimeWindow::new(rate.window)),
            lateness::rule(config).map(|rule| Box::new(Lateness::new(rule))),
        )
    }

    fn of(failures: Option<TimeWindow>, lateness: Option<Box<Lateness>>) -> Self {
        match (failures, lateness) {
            (Some(failures), None) => Self::Failures(failures),
            (failures, Some(lateness)) => Self::Both(failures, lateness),
            (None, None) => Self::None,
        }
    }

    /// What is looked at otherwise from now on begins anew.
    pub(super) fn reconfigure(&mut self, old: &Config, new: &Config) {
        let (mut failures, mut lateness) = match std::mem::replace(self, Self::None) {
            Self::Failures(failures) => (Some(failures), None),
            Self::Both(failures, lateness) => (failures, Some(lateness)),
            Self::None => (None, None),
        };
        let spans = [old, new].map(|config| config.rules.failure_rate.map(|rate| rate.window));
        if spans[0] != spans[1] {
            failures = spans[1].map(TimeWindow::new);
        }
        let rules = [old, new].map(lateness::rule);
        if rules[0] != rules[1] {
            lateness = rules[1].map(|rule| Box::new(Lateness::new(rule)));
        }
        *self = Self::of(failures, lateness);
    }

    pub(super) fn clear(&mut self) {
        if let Some(failures) = self.failures_mut() {
            failures.clear();
        }
        if let Some(lateness) = self.lateness_mut() {
            lateness.clear();
        }
    }

    pub(super) const fn failures(&self) -> Option<&TimeWindow> {
        match self {
            Self::Failures(failures) => Some(failures),
            Self::Both(failures, _) => failures.as_ref(),
            Self::None => None,
        }
    }

    pub(super) const fn failures_mut(&mut self) -> Option<&mut TimeWindow> {
        match self {
            Self::Failures(failures) => Some(failures),
            Self::Both(failures, _) => failures.as_mut(),
            Self::None => None,
        }
    }

    pub(super) fn lateness(&self) -> Option<&Lateness> {
        match self {
            Self::Both(_, lateness) => Some(lateness),
            _ => None,
        }
    }

    pub(super) fn lateness_mut(&mut self) -> Option<&mut Lateness> {
        match self {
            Self::Both(_, lateness) => Some(lateness),
            _ => None,
        }
    }

    /// A good answer; `false`, and it is not recorded, where it is late.
    #[inline]
    pub(super) fn good(&mut self, latency: Duration, peers: &Peers, now: Instant) -> bool {
        if let Self::Failures(failures) = self {
            failures.record(now, false);
            return true;
        }
        self.good_and_in_time(latency, peers, now)
    }

    #[inline(never)]
    fn good_and_in_time(&mut self, latency: Duration, peers: &Peers, now: Instant) -> bool {
        let Self::Both(failures, lateness) = self else {
            return true;
        };
        let in_time = !lateness.is_late(latency, peers);
        if in_time {
            lateness.record(false, now);
            if let Some(failures) = failures {
                failures.record(now, false);
            }
        }
        in_time
    }
}
