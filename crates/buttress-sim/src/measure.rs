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
    /// Whether the run is over, and all is measured but to whom each router sends.
    over: bool,
}

/// Of those who came a second or more after the fault began, while it lasted.
#[derive(Clone, Copy, Debug, Default)]
struct Late {
    all: u64,
    good: u64,
}

/// The last stretch of a run, in which a host without traffic is a host that is lost.
const LAST: Duration = Duration::from_secs(10);
/// The same for one router of many, which may send nothing to a host that it remembers as slow until that has faded;
/// [`AFTERWARDS`] comes to it.
const LAST_OF_ONE: Duration = Duration::from_secs(40);
/// Runs of many routers go on for so long after all else is measured, to see to whom each sends.
const AFTERWARDS: Duration = Duration::from_secs(20);

impl Measure {
    pub(crate) fn new(scenario: &Scenario, routers: usize) -> Self {
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
            shares: Shares::new(scenario, routers),
            refused_last: 0,
            ejections: 0,
            over: false,
        }
    }

    /// How long a run of so many `routers` goes on once it is over.
    pub(crate) fn afterwards(&self, routers: usize) -> Duration {
        if routers > 1 && self.is_settled() {
            AFTERWARDS
        } else {
            Duration::ZERO
        }
    }

    /// The run is over: the routers have thrown out so many hosts.
    pub(crate) fn end(&mut self, ejections: u64) {
        if !self.over {
            self.over = true;
            self.ejections = ejections;
            self.waits.sort_unstable();
            self.waits_meanwhile.sort_unstable();
        }
    }

    pub(crate) fn sent(&mut self, router: usize, host: usize, at: Duration) {
        self.shares.asked(router, host, at);
        if !self.over {
            self.sends += 1;
            self.shares.sent(host, at);
        }
    }

    /// A copy, which nobody waits for.
    pub(crate) fn copied(&mut self, host: usize, at: Duration) {
        if !self.over {
            self.copies += 1;
            self.shares.sent(host, at);
        }
    }

    /// A router had nobody to send to.
    pub(crate) fn refused(&mut self, at: Duration) {
        if self.over {
            return;
        }
        self.refused += 1;
        if at + LAST >= self.scenario.length {
            self.refused_last += 1;
        }
    }

    pub(crate) fn retried(&mut self) {
        self.retries += u64::from(!self.over);
    }

    /// A client who came `at` is served, or is not and asks no more, after `wait`.
    pub(crate) fn answered(&mut self, at: Duration, wait: Duration, good: bool) {
        let fault = &self.scenario.fault;
        if self.over || at < fault.from {
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

    /// Hosts without traffic, those to which one router sends nothing though others do (once for each such router), and
    /// refusals, at the end of a run whose last fault is long over.
    pub fn wedged(&self) -> u64 {
        if self.is_settled() {
            self.shares.forgotten(LAST, LAST_OF_ONE) + self.refused_last
        } else {
            0
        }
    }

    fn is_settled(&self) -> bool {
        self.scenario.settled_from() + 2 * LAST <= self.scenario.length
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    fn measured(hosts: usize, routers: usize) -> Measure {
        let mut suite = scenario::suite(hosts, 0.75).into_iter();
        Measure::new(&suite.find(|it| it.name == "S5").unwrap(), routers)
    }

    /// Each of twenty routers asks each of ten hosts in each second of a run and after it, but not where `never` says so.
    fn lost(never: impl Fn(usize, usize, u64) -> bool) -> u64 {
        const ROUTERS: usize = 20;
        let mut measure = measured(10, ROUTERS);
        for second in 0..120 {
            if second == 100 {
                measure.end(0);
            }
            for router in 0..ROUTERS {
                for host in (0..10).filter(|&host| !never(router, host, second)) {
                    measure.sent(router, host, Duration::from_secs(second));
                }
            }
        }
        measure.wedged()
    }

    #[test]
    fn a_host_that_one_of_twenty_routers_never_asks_again_is_lost_though_the_others_do() {
        assert_eq!(lost(|_, _, _| false), 0);
        let never = lost(|router, host, second| router == 7 && host == 0 && second >= 60);
        assert_eq!(never, 1);
        let nobody = lost(|router, _, second| router == 7 && second >= 60);
        assert_eq!(nobody, 10);
        let late = lost(|_, host, second| host == 0 && (20..80).contains(&second));
        assert_eq!(late, 0);
    }

    #[test]
    fn a_host_that_no_router_asks_in_the_last_seconds_is_lost_once() {
        assert_eq!(lost(|_, host, second| host == 0 && second >= 89), 1);
        let one = lost(|router, host, second| router == 7 && host == 0 && second >= 62);
        assert_eq!(one, 0, "who is one of many may wait for longer");
    }

    #[test]
    fn a_host_that_gets_copies_alone_is_lost() {
        let mut measure = measured(1, 1);
        measure.copied(0, Duration::from_secs(99));
        measure.end(0);
        assert_eq!(measure.wedged(), 1);
    }

    #[test]
    fn what_comes_after_the_run_is_not_measured() {
        let mut measure = measured(1, 2);
        let (at, wait) = (Duration::from_secs(99), Duration::from_millis(50));
        measure.sent(0, 0, at);
        measure.answered(at, wait, true);
        measure.end(3);
        let figures = |it: &Measure| (it.clients(), it.success(), it.amplification(), it.copies());
        let seen = figures(&measure);
        measure.sent(0, 0, at);
        measure.copied(0, at);
        measure.retried();
        measure.refused(at);
        measure.answered(at, wait, false);
        measure.end(9);
        assert_eq!(figures(&measure), seen);
        assert_eq!(measure.ejections(), 3);
    }
}
