//! A host: workers, a queue, and the condition it is in.

use std::collections::VecDeque;
use std::time::Duration;

use buttress_core::rng::Rng;

/// What befalls a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// It works on everything, so many times as long as usual, and a share of it fails at the end.
    Working {
        /// 1 is usual.
        slowdown: f64,
        /// The share of answers that are failures, of 0 to 1.
        errors: f64,
    },
    /// This share is answered with a failure after this time, without being worked on.
    FailingFast {
        /// The share, of 0 to 1.
        share: f64,
        /// How long a failure takes.
        after: Duration,
    },
    /// This share is answered with "too many requests", without being worked on.
    Limiting {
        /// The share, of 0 to 1.
        share: f64,
    },
    /// It accepts, and never answers.
    Hanging,
    /// Nothing can be connected to it.
    Refusing,
}

impl Condition {
    /// All is well.
    pub const HEALTHY: Self = Self::Working {
        slowdown: 1.0,
        errors: 0.0,
    };

    /// Everything takes so many times as long.
    pub const fn slow(slowdown: f64) -> Self {
        Self::Working {
            slowdown,
            errors: 0.0,
        }
    }

    /// A share of answers are failures, after the usual work.
    pub const fn grey(errors: f64) -> Self {
        Self::Working {
            slowdown: 1.0,
            errors,
        }
    }

    /// A share of 0 to 1 fails two milliseconds after it came.
    pub const fn failing_fast(share: f64) -> Self {
        Self::FailingFast {
            share,
            after: Duration::from_millis(2),
        }
    }

    /// How long a good answer takes here, in units of a healthy host's time; `None` if there is none.
    fn slowdown(&self) -> Option<f64> {
        match *self {
            Self::Working { slowdown, .. } => Some(slowdown),
            Self::FailingFast { .. } | Self::Limiting { .. } => Some(1.0),
            Self::Hanging | Self::Refusing => None,
        }
    }

    /// The share of requests that get no good answer.
    fn failing(&self) -> f64 {
        match *self {
            Self::Working { errors, .. } => errors,
            Self::FailingFast { share, .. } | Self::Limiting { share } => share,
            Self::Hanging | Self::Refusing => 1.0,
        }
    }
}

/// What a host does with a request that came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reception {
    /// A worker is free and begins.
    Begin,
    /// It waits for a worker.
    Wait,
    /// It is answered after this time, by nobody's work.
    Answer(Duration, Answer),
    /// Nothing will come.
    Silence,
}

/// What a host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200.
    Good,
    /// 503.
    Failure,
    /// 429 with `Retry-After: 1`.
    TooMany,
    /// No connection.
    Refused,
}

/// A host with its workers and its queue of calls, each named by a `C`.
#[derive(Debug)]
pub struct Host<C> {
    /// Its speed beside the others'.
    pub(crate) capacity: f64,
    pub(crate) condition: Condition,
    workers: usize,
    busy: usize,
    queue: VecDeque<C>,
}

impl<C> Host<C> {
    pub(crate) fn new(workers: usize, capacity: f64) -> Self {
        Self {
            capacity,
            condition: Condition::HEALTHY,
            workers,
            busy: 0,
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn receive(&mut self, call: C, network: Duration, rng: &Rng) -> Reception {
        match self.condition {
            Condition::Hanging => Reception::Silence,
            Condition::Refusing => Reception::Answer(network, Answer::Refused),
            Condition::FailingFast { share, after } if rng.unit() < share => {
                Reception::Answer(after, Answer::Failure)
            }
            Condition::Limiting { share } if rng.unit() < share => {
                Reception::Answer(network, Answer::TooMany)
            }
            _ if self.busy < self.workers => {
                self.busy += 1;
                Reception::Begin
            }
            _ => {
                self.queue.push_back(call);
                Reception::Wait
            }
        }
    }

    /// What becomes of a service time here and now.
    pub(crate) fn stretch(&self, usual: Duration) -> Duration {
        let slowdown = self.condition.slowdown().unwrap_or(1.0);
        usual.mul_f64(slowdown / self.capacity)
    }

    /// What a worker that has ended answers; `None` if the host has gone silent meanwhile.
    pub(crate) fn answer(&self, rng: &Rng) -> Option<Answer> {
        match self.condition {
            Condition::Working { errors, .. } if errors > 0.0 && rng.unit() < errors => {
                Some(Answer::Failure)
            }
            Condition::Hanging => None,
            Condition::Refusing => Some(Answer::Refused),
            _ => Some(Answer::Good),
        }
    }

    /// A worker has ended: the one whom it takes next, if anybody waits. `gone` says who left.
    pub(crate) fn free(&mut self, gone: impl Fn(&C) -> bool) -> Option<C> {
        while let Some(call) = self.queue.pop_front() {
            if !gone(&call) {
                return Some(call);
            }
        }
        self.busy -= 1;
        None
    }

    /// The share of requests that fail here, and how long one takes that does not, were nobody else here.
    /// For whoever knows everything.
    pub(crate) fn idle_cost(&self) -> (f64, f64) {
        let slowdown = self.condition.slowdown().unwrap_or(f64::INFINITY);
        (self.condition.failing(), slowdown / self.capacity)
    }

    /// How many rounds of work are ahead of whoever comes now: 0 while a worker is free.
    pub(crate) fn queue_ahead(&self) -> f64 {
        let ahead = (self.busy + self.queue.len() + 1).saturating_sub(self.workers);
        ahead as f64 / self.workers as f64
    }
}
