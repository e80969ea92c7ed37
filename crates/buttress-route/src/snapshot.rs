//! What a reader is shown of a pool, as plain data.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::health::HealthStatus;
use buttress_core::verdict::Verdict;

use crate::endpoint::Metadata;

/// What a pool is doing with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointState {
    /// It takes its share of the traffic.
    Active,
    /// A rule has thrown it out; it takes none, but in its turn where the others are overrun ([`PoolSnapshot::in_turn`]).
    Ejected,
    /// It takes one request at a time, to see whether it is well again.
    Probing,
    /// Another room, the outside or its checks say that it is unhealthy; it takes no traffic.
    Held,
    /// Thrown out by hand, until it is restored by hand.
    ForcedOut,
    /// Taken out by hand for good, or of weight 0: not even the last resort.
    Draining,
}

impl EndpointState {
    /// Every state, in the order of [`EndpointState::index`].
    pub const NAMES: &'static [&'static str] = &[
        "active",
        "ejected",
        "probing",
        "held",
        "forced_out",
        "draining",
    ];

    /// The index of this state's name in [`EndpointState::NAMES`].
    pub const fn index(self) -> usize {
        match self {
            Self::Active => 0,
            Self::Ejected => 1,
            Self::Probing => 2,
            Self::Held => 3,
            Self::ForcedOut => 4,
            Self::Draining => 5,
        }
    }

    /// The name used in labels, log lines and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ejected => "ejected",
            Self::Probing => "probing",
            Self::Held => "held",
            Self::ForcedOut => "forced_out",
            Self::Draining => "draining",
        }
    }
}

/// Something was decided about an endpoint.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The pool's name.
    pub pool: Arc<str>,
    /// The endpoint's identity.
    pub endpoint: Arc<str>,
    /// When.
    pub at: Instant,
    /// What changed.
    pub change: Change,
    /// Why.
    pub verdict: Verdict,
}

/// A decision about an endpoint, as the endpoint remembers it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Judged {
    /// When; of several like it, the last.
    pub at: Instant,
    /// What changed.
    pub change: Change,
    /// Why.
    pub verdict: Verdict,
    /// So many of one rule were held back one after the other for one reason, or the endpoint was shunned so many times for one
    /// with nothing else between; else 1.
    pub times: u32,
}

/// What an [`Event`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The endpoint went from one state to another.
    Transition {
        /// The state that was left.
        from: EndpointState,
        /// The state that was entered.
        to: EndpointState,
    },
    /// A rule fired, and its action was held back; the verdict says by what.
    Suppressed,
    /// The endpoint is in, and was given next to nothing for two seconds, and for [`Config::decay`](crate::Config::decay) more where it
    /// costs less than four times what a usual one does: [`EndpointSnapshot::shunned`].
    Shunned,
    /// For two seconds it was not.
    Resumed,
}

/// A pool at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// The pool's name.
    pub pool: Arc<str>,
    /// When this was so.
    pub at: Instant,
    /// The endpoints, in the order in which they were given.
    pub endpoints: Vec<EndpointSnapshot>,
    /// The name of the policy that picks.
    pub policy: &'static str,
    /// The levels of endpoints, the one that is asked first before the others.
    pub levels: Vec<LevelSnapshot>,
    /// How many endpoints may be out at once.
    pub max_ejected: usize,
    /// The median of the endpoints' latencies; that of an endpoint which has shown none.
    pub median_latency: Duration,
    /// How many times as long as at ease the answers of an endpoint in the middle take: no more than about 1 where the pool
    /// is at ease; from 4 on it has more to do than it can.
    pub slowdown: f64,
    /// The share of the requests, 0 to 1, that all endpoints take in turn, also those that rules have thrown out, because the
    /// others cannot bear their share. Mostly 0.
    pub in_turn: f64,
}

/// Endpoints of one priority and distance, at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LevelSnapshot {
    /// Their priority.
    pub priority: u8,
    /// Parts of the pool's locality that they do not share.
    pub distance: u8,
    /// How many there are.
    pub endpoints: usize,
    /// The share of the requests that they take, 0 to 1. It follows what goes out or comes back with the next
    /// request, within a millisecond.
    pub share: f64,
}

/// An endpoint at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// The identity.
    pub id: Arc<str>,
    /// What the pool is doing with it.
    pub state: EndpointState,
    /// Since when.
    pub since: Instant,
    /// It takes traffic only because the pool can bear no further ejection: a rule or a signal would
    /// have it out, and it has not answered well since, or the signal stands.
    pub suspect: bool,
    /// It failed more than chance has it, and takes next to no traffic until copies have shown that this is over, or for
    /// [`Config::decay`](crate::Config::decay). Only behind [`HealthRouter::hedged`](crate::HealthRouter::hedged).
    pub doubted: bool,
    /// Why it is given next to nothing, though it is in: were a request to come now another would have it, even if this one had
    /// nothing in flight. `slow` (seconds to an answer), `silent` (seconds without one), `failing` (the share without a good
    /// answer), `limited` (the same, most of it `429`), `doubted` (failures in a row), or by whose word it is a
    /// [`suspect`](EndpointSnapshot::suspect); each with what it may be at most. Nobody is shunned by a policy that heeds no cost, nor where its whole level is given nothing.
    pub shunned: Option<Verdict>,
    /// After how long it is probed, if it is ejected.
    pub retry_after: Option<Duration>,
    /// Its weight; 0 drains it.
    pub weight: u32,
    /// What it was given beside its weight.
    pub metadata: Metadata,
    /// Its priority; 0 is asked first.
    pub priority: u8,
    /// Where it is, if it was said.
    pub locality: Option<Arc<str>>,
    /// Requests sent and not yet ended.
    pub in_flight: u32,
    /// Requests ever sent.
    pub picks: u64,
    /// How much of its traffic it is given: below 1 on its way back, where it is new, where it reports to be busier
    /// than its peers, or is a suspect under a policy that does not heed what it costs.
    pub given: f64,
    /// What it reports of its own load, where that is heeded and not too old.
    pub reported: Option<ReportedLoad>,
    /// Reports of its load that were malformed or absurd.
    pub reports_ignored: u64,
    /// Its share of the requests sent lately, 0 to 1.
    pub share: f64,
    /// How those that ended did.
    pub outcomes: Outcomes,
    /// The decayed share of successes, credited with a few.
    pub success_ratio: f64,
    /// The decayed mean time from pick to head of its successes, if there were any.
    pub latency: Option<Duration>,
    /// What a request to it would cost now, in seconds to a good answer.
    pub cost: f64,
    /// How often each rule has thrown it out: name and count.
    pub ejections: Vec<(&'static str, u64)>,
    /// How often an ejection was held back, by what.
    pub suppressed: Vec<(&'static str, u64)>,
    /// How often it was told to be in and given next to nothing, by why ([`Change::Shunned`]).
    pub shunnings: Vec<(&'static str, u64)>,
    /// How its probes ended.
    pub probes: Vec<(&'static str, u64)>,
    /// How its active checks ended; empty where there are none.
    pub checks: Vec<(&'static str, u64)>,
    /// What its active checks say, if there are any.
    pub check: Option<CheckSnapshot>,
    /// The last decision about it.
    pub last_verdict: Option<Verdict>,
    /// The last 16 decisions about it, oldest first: why it is where it is, and what held back what else a rule
    /// would have had.
    pub verdicts: Vec<Judged>,
}

/// What an endpoint said last of its own load: [`crate::load`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReportedLoad {
    /// How busy it says it is: 1 is all there is.
    pub utilization: f64,
    /// How long ago.
    pub age: Duration,
}

/// What the active checks of an endpoint say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckSnapshot {
    /// The check, by its name.
    pub check: Arc<str>,
    /// `Healthy` or `Unhealthy`, once so many in a row have said it; `Unknown` before.
    pub said: HealthStatus,
    /// When the last one ended, if any has.
    pub at: Option<Instant>,
    /// How the last one that failed did.
    pub last_failure: Option<Arc<str>>,
}

/// How requests ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcomes {
    /// Answered well.
    pub success: u64,
    /// Failed.
    pub failure: u64,
    /// Answered well and late.
    pub slow: u64,
    /// Said nothing about the endpoint.
    pub ignored: u64,
    /// The client left before the end.
    pub abandoned: u64,
}

impl Outcomes {
    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        let all = self.named().into_iter();
        all.fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Each by its name.
    pub(crate) const fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("success", self.success),
            ("failure", self.failure),
            ("slow", self.slow),
            ("ignored", self.ignored),
            ("abandoned", self.abandoned),
        ]
    }
}

impl PoolSnapshot {
    /// The endpoint `id`, if the pool has it.
    pub fn endpoint(&self, id: &str) -> Option<&EndpointSnapshot> {
        self.endpoints.iter().find(|endpoint| &*endpoint.id == id)
    }
}
