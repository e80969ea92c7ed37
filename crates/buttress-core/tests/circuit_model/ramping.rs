//! What a ramping circuit should let pass, and when its steps should end.

use std::time::Duration;

use buttress_core::circuit::{Ramp, State, Step};
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;

use super::{Model, verdict};

impl Model {
    pub(super) fn step(&self) -> Option<(Ramp, Step)> {
        let ramp = self.settings.ramp.clone()?;
        let step = *ramp.steps.get(self.step)?;
        Some((ramp, step))
    }

    pub(crate) fn is_on_a_step(&self) -> bool {
        self.step().is_some()
    }

    fn is_step_over(&self, now: Instant) -> bool {
        self.step().is_none_or(|(_, step)| {
            let lasted = now.saturating_since(self.step_since) >= step.lasts;
            lasted && self.good() >= step.successes
        })
    }

    pub(super) fn go_on_ramping(&mut self, now: Instant) {
        if self.settings.ramp.is_none() {
            self.enter(State::Closed, now, None);
        } else if self.is_step_over(now) {
            let last = self.settings.ramp.as_ref().unwrap().steps.len() - 1;
            if self.step >= last {
                self.attempt = 0;
                self.enter(State::Closed, now, None);
            } else {
                self.begin_step(self.step + 1, now);
            }
        }
    }

    /// After how long a call passes the ramp, if not now.
    pub(super) fn ramp_wait(&self, now: Instant) -> Option<Duration> {
        let (_, step) = self.step()?;
        let passed = |asked: &&(Instant, f64, bool)| asked.2;
        let (last, ..) = self.asked.iter().rev().find(passed)?;
        let saved = self
            .asked
            .iter()
            .fold(0.0, |saved: f64, (_, share, passed)| {
                let saved = saved + share;
                if *passed {
                    (saved - 1.0).max(0.0)
                } else {
                    saved
                }
            });
        let next = last.saturating_add(step.lasts / step.successes.clamp(1, 10));
        let passes = saved + step.share >= 1.0 - 1e-6 || now >= next;
        (!passes).then(|| next.saturating_since(now))
    }

    pub(super) fn settle_ramp(&mut self, outcome: Outcome, asked: Option<Duration>, now: Instant) {
        let Some(good) = verdict(outcome).filter(|_| self.settings.ramp.is_some()) else {
            return;
        };
        self.ended.push(good);
        if self.is_troubled() {
            self.open(asked, now);
        } else {
            self.go_on_ramping(now);
        }
    }

    pub(crate) fn overdue_in_ramp(&mut self, calls: u32, asked: Option<Duration>, at: Instant) {
        if self.state == State::Ramping {
            self.ended.extend((0..calls).map(|_| false));
            if self.is_troubled() {
                self.open(asked, at);
            }
        }
    }

    fn is_troubled(&self) -> bool {
        let Some(ramp) = &self.settings.ramp else {
            return false;
        };
        let row = self.ended.iter().rev().take_while(|good| !**good).count();
        let (bad, all) = (self.bad(), self.ended.len());
        let often = f64::from(bad) / all as f64 >= ramp.bad_ratio;
        let row_long = row >= ramp.bad_in_a_row.get() as usize;
        row_long || (all >= ramp.min_calls.get() as usize && often)
    }
}
