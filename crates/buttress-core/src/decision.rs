//! What a room decided about a request, for whoever tells of it.
//!
//! The rooms put these into the extensions of the response where they are asked to; spans and
//! dashboards read them, and neither knows the other.

use std::sync::Arc;

use crate::verdict::Verdict;

/// The endpoint that a request was sent to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Picked {
    /// The pool.
    pub pool: Arc<str>,
    /// The endpoint's identity in it.
    pub endpoint: Arc<str>,
    /// Whether the request was the probe of an endpoint that is out.
    pub probe: bool,
}

impl Picked {
    /// An ordinary request, sent to `endpoint` of `pool`.
    pub fn new(pool: impl Into<Arc<str>>, endpoint: impl Into<Arc<str>>) -> Self {
        Self {
            pool: pool.into(),
            endpoint: endpoint.into(),
            probe: false,
        }
    }

    /// Whether it was a probe.
    #[must_use]
    pub const fn probe(mut self, probe: bool) -> Self {
        self.probe = probe;
        self
    }
}

/// What a breaker did with a request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Guarded {
    /// The breaker's name.
    pub breaker: Arc<str>,
    /// Whether it let the request pass.
    pub admission: Admission,
    /// Why its circuit is in the state that it is in, if it has ever changed. Of an ordinary request
    /// that was admitted nothing is said.
    pub verdict: Option<Verdict>,
}

/// Whether a breaker let a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Admission {
    /// As ordinary traffic.
    Ordinary,
    /// As a probe of a half-open circuit.
    Probe,
    /// Not at all.
    Rejected,
}

impl Guarded {
    /// The breaker called `breaker` did this.
    pub fn new(breaker: impl Into<Arc<str>>, admission: Admission) -> Self {
        Self {
            breaker: breaker.into(),
            admission,
            verdict: None,
        }
    }

    /// Because of `verdict`.
    #[must_use]
    pub fn because(mut self, verdict: Option<Verdict>) -> Self {
        self.verdict = verdict;
        self
    }
}

impl Admission {
    /// The name used in spans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Probe => "probe",
            Self::Rejected => "rejected",
        }
    }
}
