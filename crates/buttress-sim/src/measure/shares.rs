//! Who got how much of the traffic, when.

use std::time::Duration;

use super::BIN;
use crate::scenario::Scenario;

/// Requests by bin and host, copies among them.
#[derive(Debug)]
pub(super) struct Shares {
    bins: Vec<Vec<u32>>,
    /// The bin in which each router last sent each host what somebody waited for.
    last_asked: Vec<Vec<Option<usize>>>,
    /// Of all hosts.
    totals: Vec<u32>,
    faulty: Vec<usize>,
    /// The share of a faulty host when nothing is wrong.
    fair: f64,
    from: usize,
    until: usize,
    members_at_end: Vec<usize>,
}

/// A host is diverted from when this long it had less than a quarter of its share.
const DIVERTED: usize = 5;
/// A host is back when this long it had nine tenths of its share.
const SECOND: usize = 20;
/// Forty seconds.
const CALM: usize = 800;

impl Shares {
    pub(super) fn new(scenario: &Scenario, routers: usize) -> Self {
        let total: f64 = scenario
            .members
            .iter()
            .filter_map(|it| scenario.capacities.get(*it))
            .sum();
        let faulty = scenario.fault.hosts.clone();
        let own: f64 = faulty
            .iter()
            .filter_map(|it| scenario.capacities.get(*it))
            .sum();
        Self {
            bins: vec![vec![0; scenario.capacities.len()]; bin(scenario.length) + 1],
            last_asked: vec![vec![None; scenario.capacities.len()]; routers],
            totals: vec![0; bin(scenario.length) + 1],
            fair: own / total / faulty.len().max(1) as f64,
            faulty,
            from: bin(scenario.fault.from),
            until: bin(scenario.fault.until),
            members_at_end: scenario.members_at_end().to_vec(),
        }
    }

    /// Somebody waits for what is sent.
    pub(super) fn asked(&mut self, router: usize, host: usize, at: Duration) {
        let hosts = self.last_asked.get_mut(router);
        if let Some(last) = hosts.and_then(|it| it.get_mut(host)) {
            *last = Some(bin(at));
        }
    }

    pub(super) fn sent(&mut self, host: usize, at: Duration) {
        if let Some(count) = self.bins.get_mut(bin(at)).and_then(|it| it.get_mut(host)) {
            *count += 1;
        }
        if let Some(total) = self.totals.get_mut(bin(at)) {
            *total += 1;
        }
    }

    pub(super) fn divert(&self) -> Option<Duration> {
        let fair = self.fair * self.faulty.len() as f64;
        let last = self.until.saturating_sub(DIVERTED);
        let diverted = |&first: &usize| self.faulty_share(first, DIVERTED) < fair / 4.0;
        self.after(self.from, (self.from..=last).find(diverted)?)
    }

    pub(super) fn recover(&self) -> Option<Duration> {
        let fair = self.fair * self.faulty.len() as f64;
        let last = self.bins.len().saturating_sub(SECOND);
        let back = |&first: &usize| self.faulty_share(first, SECOND) >= fair * 0.9;
        self.after(self.until, (self.until..=last).find(back)?)
    }

    pub(super) fn peak_over_fair(&self) -> Option<f64> {
        let last = self.bins.len().checked_sub(SECOND)?;
        let share = |host, first| self.share(&[host], first, SECOND);
        let peak = |from: usize, host: usize| {
            let shares = (from..=last).map(|first| share(host, first));
            shares.fold(0.0, f64::max)
        };
        if self.faulty.is_empty() {
            // As long as hosts that are back are looked at.
            let from = last.saturating_sub(CALM);
            let members = self.members_at_end.iter();
            let mut peaks: Vec<f64> = members.map(|&host| peak(from, host)).collect();
            peaks.sort_by(f64::total_cmp);
            let middle = peaks.get(peaks.len() / 2)?;
            return Some(middle * self.members_at_end.len() as f64);
        }
        let peaks = self.faulty.iter().map(|&host| peak(self.until, host));
        (self.until < last).then(|| peaks.fold(0.0, f64::max) / self.fair)
    }

    /// How many members got nothing but copies in the `last` stretch of the run and since, and by how many routers others
    /// got nothing else in the longer stretch `of_one`.
    pub(super) fn forgotten(&self, last: Duration, of_one: Duration) -> u64 {
        let lost = |&host: &usize| {
            if self.without(host, last) == self.last_asked.len() {
                1
            } else {
                self.without(host, of_one) as u64
            }
        };
        self.members_at_end.iter().map(lost).sum()
    }

    /// How many routers sent `host` nothing but copies in the `last` stretch of the run and since.
    fn without(&self, host: usize, last: Duration) -> usize {
        let first = self.bins.len().saturating_sub(bin(last));
        let asked = |hosts: &Vec<Option<usize>>| hosts.get(host).copied().flatten();
        let nothing = |hosts: &&Vec<Option<usize>>| asked(hosts).is_none_or(|at| at < first);
        self.last_asked.iter().filter(nothing).count()
    }

    pub(super) fn faulty_share_by_second(&self) -> Vec<f64> {
        let seconds = (0..self.bins.len() / SECOND).map(|second| second * SECOND);
        seconds
            .map(|first| self.faulty_share(first, SECOND))
            .collect()
    }

    fn after(&self, from: usize, found: usize) -> Option<Duration> {
        let bins = u32::try_from(found.checked_sub(from)?).ok()?;
        (!self.faulty.is_empty()).then(|| BIN * bins)
    }

    fn faulty_share(&self, first: usize, bins: usize) -> f64 {
        self.share(&self.faulty, first, bins)
    }

    fn share(&self, hosts: &[usize], first: usize, bins: usize) -> f64 {
        let totals = self.totals.iter().skip(first).take(bins);
        let total: u32 = totals.sum();
        f64::from(self.count(hosts, first, bins)) / f64::from(total.max(1))
    }

    fn count(&self, hosts: &[usize], first: usize, bins: usize) -> u32 {
        let of_bin = |bin: &Vec<u32>| -> u32 { hosts.iter().filter_map(|it| bin.get(*it)).sum() };
        self.bins.iter().skip(first).take(bins).map(of_bin).sum()
    }
}

fn bin(at: Duration) -> usize {
    usize::try_from(at.as_nanos() / BIN.as_nanos()).unwrap_or(usize::MAX)
}
