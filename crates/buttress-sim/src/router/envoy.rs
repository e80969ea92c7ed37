//! Envoy's defaults as its documentation states them: least request of two, outlier detection by
//! consecutive failures and by success rate, a budget of a tenth of the pool, panic at one half.

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use super::least_request::LeastRequest;
use super::{End, PerHost, Router, View};

const CONSECUTIVE: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(10);
const BASE_EJECTION: Duration = Duration::from_secs(30);
const MAX_EJECTION: Duration = Duration::from_secs(300);
const MAX_EJECTED: f64 = 0.1;
const MIN_HOSTS: usize = 5;
const MIN_REQUESTS: u32 = 100;
const DEVIATIONS: f64 = 1.9;
const PANIC: f64 = 0.5;

#[derive(Debug)]
pub(super) struct Envoy {
    balance: LeastRequest,
    watched: PerHost<Watched>,
    pool: Vec<usize>,
    healthy: Vec<usize>,
    looked: Option<Instant>,
    ejections: u64,
}

#[derive(Debug, Default)]
struct Watched {
    in_a_row: u32,
    requests: u32,
    successes: u32,
    backoff: u32,
    out_since: Option<Instant>,
    back_since: Option<Instant>,
}

impl Envoy {
    pub(super) const fn new(rng: Rng) -> Self {
        Self {
            balance: LeastRequest::new(rng),
            watched: PerHost::new(),
            pool: Vec::new(),
            healthy: Vec::new(),
            looked: None,
            ejections: 0,
        }
    }

    fn eject(&mut self, host: usize, now: Instant) {
        let out = self.pool.len() - self.healthy.len();
        let share = (out + 1) as f64 / self.pool.len() as f64;
        if share > MAX_EJECTED && out > 0 {
            return;
        }
        let watched = self.watched.get(host);
        watched.out_since = Some(now);
        watched.in_a_row = 0;
        watched.backoff = watched.backoff.saturating_add(1);
        self.ejections += 1;
        self.healthy.retain(|it| *it != host);
    }

    fn judge(&mut self, host: usize, end: End, now: Instant) {
        let watched = self.watched.get(host);
        watched.requests += 1;
        if !end.is_failure() {
            watched.successes += 1;
            watched.in_a_row = 0;
            return;
        }
        watched.in_a_row += 1;
        if watched.in_a_row == CONSECUTIVE && watched.out_since.is_none() {
            self.eject(host, now);
        }
    }

    /// What its timer does every ten seconds.
    fn look(&mut self, now: Instant) {
        let due = self.looked.get_or_insert(now).saturating_add(INTERVAL);
        if now < due {
            return;
        }
        self.looked = Some(now);
        self.let_back(now);
        self.judge_success_rates(now);
    }

    fn let_back(&mut self, now: Instant) {
        for &host in &self.pool {
            let watched = self.watched.get(host);
            let rested = |since| now.saturating_since(since);
            if let Some(since) = watched.out_since {
                let out_for = (BASE_EJECTION * watched.backoff).min(MAX_EJECTION);
                if rested(since) >= out_for {
                    (watched.out_since, watched.back_since) = (None, Some(now));
                    self.healthy.push(host);
                }
            } else if watched
                .back_since
                .is_none_or(|since| rested(since) >= INTERVAL)
            {
                watched.backoff = watched.backoff.saturating_sub(1);
            }
        }
    }

    fn judge_success_rates(&mut self, now: Instant) {
        let mut rates = Vec::new();
        for &host in &self.healthy {
            let watched = self.watched.get(host);
            if watched.requests >= MIN_REQUESTS {
                rates.push((
                    host,
                    f64::from(watched.successes) / f64::from(watched.requests),
                ));
            }
            (watched.requests, watched.successes) = (0, 0);
        }
        if rates.len() < MIN_HOSTS {
            return;
        }
        let count = rates.len() as f64;
        let mean = rates.iter().map(|it| it.1).sum::<f64>() / count;
        let variance = rates.iter().map(|it| (it.1 - mean).powi(2)).sum::<f64>() / count;
        let least = mean - DEVIATIONS * variance.sqrt();
        for (host, rate) in rates {
            if rate < least {
                self.eject(host, now);
            }
        }
    }
}

impl Router for Envoy {
    fn send(&mut self, _: usize, view: View<'_>) -> Option<usize> {
        if self.pool.is_empty() {
            self.members(view.members, view.now);
        }
        self.look(view.now);
        let panic = (self.healthy.len() as f64) < self.pool.len() as f64 * PANIC;
        let eligible = if panic { &self.pool } else { &self.healthy };
        self.balance.pick(eligible)
    }

    fn ended(
        &mut self,
        _: usize,
        host: usize,
        end: End,
        _: Duration,
        now: Instant,
    ) -> Option<usize> {
        self.balance.done(host);
        if end != End::Left {
            self.judge(host, end, now);
        }
        None
    }

    fn members(&mut self, members: &[usize], _: Instant) {
        for gone in self.pool.iter().filter(|it| !members.contains(it)) {
            *self.watched.get(*gone) = Watched::default();
        }
        self.pool = members.to_vec();
        self.healthy = members.to_vec();
        self.healthy
            .retain(|host| self.watched.get(*host).out_since.is_none());
    }

    fn ejections(&self) -> u64 {
        self.ejections
    }
}
