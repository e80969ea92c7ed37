//! What is seen of a run.

mod shares;

use std::time::Duration;

use crate::scenario::Scenario;
use shares::Shares;

/// Traffic is counted in bins of this length.
pub(crate) const BIN: Duration = Duration::from_millis(50);

/// What is counted while a run goes on, and what it comes to.
#[derive(Debug)]
pub struct Measure {
    scenario: Scenario,
    /// How long clients who came in the measured time waited, in microseconds.
    waits: Vec<u32>,
    /// The same of those who came before the end of the fault.
    waits_meanwhile: Vec<u32>,
    good: u64,
    late: Late,
    refused: u64,
    retries: u64,
    sends: u64,
    copies: u64,
    shares: Shares,
    /// Answers that the routers gave themselves in the last seconds.
    refused_last: u64,
    ejections: u64,
}

/// Of those who came a second or more after the fault began, while it lasted.
#[derive(Clone, Copy, Debug, Default)]
struct Late {
    all: u64,
    good: u64,
}

/// The last stretch of a run, in which a host without traffic is a host that is lost.
const LAST: Duration = Duration::from_secs(10);

impl Measure {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            scenario: scenario.clone(),
            waits: Vec::new(),
            waits_meanwhile: Vec::new(),
            good: 0,
            late: Late::default(),
            refused: 0,
            retries: 0,
            sends: 0,
            copies: 0,
            shares: Shares::new(scenario),
            refused_last: 0,
            ejections: 0,
        }
    }

    pub(crate) fn sent(&mut self, host: usize, at: Duration) {
        self.sends += 1;
        self.shares.sent(host, at);
    }

    /// A copy, which nobody waits for.
    pub(crate) fn copied(&mut self, host: usize, at: Duration) {
        self.copies += 1;
        self.shares.copied(host, at);
    }

    /// A router had nobody to send to.
    pub(crate) fn refused(&mut self, at: Duration) {
        self.refused += 1;
        if at + LAST >= self.scenario.length {
            self.refused_last += 1;
        }
    }

    pub(crate) fn retried(&mut self) {
        self.retries += 1;
    }

    /// A client who came `at` is served, or is not and asks no more, after `wait`.
    pub(crate) fn answered(&mut self, at: Duration, wait: Duration, good: bool) {
        let fault = &self.scenario.fault;
        if at < fault.from {
            return;
        }
        let micros = u32::try_from(wait.as_micros()).unwrap_or(u32::MAX);
        self.waits.push(micros);
        if at < fault.until {
            self.waits_meanwhile.push(micros);
        }
        self.good += u64::from(good);
        if at >= fault.from + Duration::from_secs(1) && at < fault.until {
            self.late.all += 1;
            self.late.good += u64::from(good);
        }
    }

    pub(crate) fn finish(mut self, ejections: u64) -> Self {
        self.waits.sort_unstable();
        self.waits_meanwhile.sort_unstable();
        self.ejections = ejections;
        self
    }

    /// The share of clients who were served, of those who came since the fault began.
    pub fn success(&self) -> f64 {
        share(self.good, self.waits.len() as u64)
    }

    /// The same, of those who came from one second into the fault to its end.
    pub fn late_success(&self) -> f64 {
        share(self.late.good, self.late.all)
    }

    /// The wait that a share `quantile` of the clients did not exceed, in milliseconds; whoever was
    /// not served waited until they were told.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        quantile_ms(&self.waits, quantile)
    }

    /// The same of those who came while the fault lasted.
    pub fn quantile_meanwhile_ms(&self, quantile: f64) -> f64 {
        quantile_ms(&self.waits_meanwhile, quantile)
    }

    /// The mean of all waits, in milliseconds.
    pub fn mean_ms(&self) -> f64 {
        let total: f64 = self.waits.iter().map(|micros| f64::from(*micros)).sum();
        total / 1e3 / self.waits.len().max(1) as f64
    }

    /// How long the faulty hosts kept more than a quarter of their share, in seconds; `None` where
    /// none is faulty, or where they kept it to the end.
    pub fn divert(&self) -> Option<f64> {
        self.shares.divert().map(|it| it.as_secs_f64())
    }

    /// How long after the fault its hosts had less than nine tenths of their share, in seconds;
    /// `None` where none was faulty, or where they never had it again.
    pub fn recover(&self) -> Option<f64> {
        self.shares.recover().map(|it| it.as_secs_f64())
    }

    /// The most that a host which is back got in any second, in units of its fair share; where none was
    /// away, the most that chance gave any, in the middle of all.
    pub fn peak_over_fair(&self) -> Option<f64> {
        self.shares.peak_over_fair()
    }

    /// Hosts without traffic, and refusals, at the end of a run whose last fault is long over.
    pub fn wedged(&self) -> u64 {
        let settled = self.scenario.settled_from() + 2 * LAST <= self.scenario.length;
        if settled {
            self.shares.forgotten(LAST) + self.refused_last
        } else {
            0
        }
    }

    /// How often a router threw a host out.
    pub fn ejections(&self) -> u64 {
        self.ejections
    }

    /// Clients' attempts for each client.
    pub fn amplification(&self) -> f64 {
        let attempts = self.sends + self.refused;
        attempts as f64 / (attempts - self.retries).max(1) as f64
    }

    /// Requests that nobody waited for, for each that somebody did.
    pub fn copies(&self) -> f64 {
        self.copies as f64 / self.sends.max(1) as f64
    }

    /// How many clients are in the figures.
    pub fn clients(&self) -> u64 {
        self.waits.len() as u64
    }

    /// The share of all requests that went to the faulty hosts, second by second.
    pub fn faulty_share_by_second(&self) -> Vec<f64> {
        self.shares.faulty_share_by_second()
    }
}

/// Of waits in their order.
fn quantile_ms(waits: &[u32], quantile: f64) -> f64 {
    let last = waits.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is between 0 and the count"
    )]
    let place = (waits.len() as f64 * quantile) as usize;
    let micros = waits.get(place.min(last)).copied().unwrap_or_default();
    f64::from(micros) / 1e3
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}
