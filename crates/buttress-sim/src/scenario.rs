//! What happens to whom, when.

mod named;
mod suite;

use std::time::Duration;

use crate::distribution::ServiceTime;
use crate::host::Condition;

pub use named::named;
pub use suite::suite;

/// A pool, its traffic, and what befalls it. Times count from the start of the run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name in tables, such as `S1`.
    pub name: String,
    /// What happens, in a few words.
    pub about: &'static str,
    /// The speed of each host there ever is.
    pub capacities: Vec<f64>,
    /// Those in the pool at the start.
    pub members: Vec<usize>,
    /// How many requests a host works on at once.
    pub workers: usize,
    /// How long it works on each.
    pub service: ServiceTime,
    /// Arrivals a second, over all routers.
    pub rate: f64,
    /// What share of all that the pool can do that is; for tables.
    pub load: f64,
    /// One way between router and host, twice.
    pub network: Duration,
    /// A router's timeout for one attempt.
    pub timeout: Duration,
    /// The share of clients who leave early.
    pub cancels: f64,
    /// They leave at any moment of this stretch.
    pub patience: Duration,
    /// How often a client asks again.
    pub retries: u32,
    /// What changes, in order.
    pub steps: Vec<(Duration, Step)>,
    /// The stretch that is measured.
    pub fault: Fault,
    /// How long it all lasts.
    pub length: Duration,
}

/// The stretch in which something is wrong, and with whom.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The hosts whose traffic should go elsewhere.
    pub hosts: Vec<usize>,
    /// When it begins; what comes before is warm-up and not measured.
    pub from: Duration,
    /// When all is well again.
    pub until: Duration,
}

/// What changes.
#[derive(Clone, Debug)]
pub enum Step {
    /// These hosts are in this condition.
    Set(Vec<usize>, Condition),
    /// So many arrivals a second.
    Rate(f64),
    /// These are the pool.
    Members(Vec<usize>),
}

impl Scenario {
    /// From when on nothing changes any more.
    pub(crate) fn settled_from(&self) -> Duration {
        let last = self.steps.last().map_or(Duration::ZERO, |it| it.0);
        last.max(if self.fault.hosts.is_empty() {
            Duration::ZERO
        } else {
            self.fault.until
        })
    }

    /// The pool's members at the end.
    pub(crate) fn members_at_end(&self) -> &[usize] {
        let mut lists = self.steps.iter().filter_map(|(_, step)| match step {
            Step::Members(members) => Some(members),
            _ => None,
        });
        lists.next_back().unwrap_or(&self.members)
    }

    /// The same, for `times` as long in its measured stretch where nothing changes.
    #[must_use]
    pub fn prolonged(mut self, length: Duration) -> Self {
        if self.steps.is_empty() {
            self.length = self.length.max(length);
        }
        self
    }
}
