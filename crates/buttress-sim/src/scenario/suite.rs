//! The suite, S0 to S20: ways in which pools go wrong, each for a pool of `n` hosts at a load.

use std::time::Duration;

use super::{Fault, Scenario, Step};
use crate::distribution::ServiceTime;
use crate::host::Condition;

const WORKERS: usize = 4;
const MEAN: Duration = Duration::from_millis(50);
const FROM: u64 = 20;
const UNTIL: u64 = 60;
const LENGTH: u64 = 100;

/// Every scenario for `n` hosts at `load`, of 0 to 1.
pub fn suite(n: usize, load: f64) -> Vec<Scenario> {
    let pool = Pool { n, load };
    let groups = [
        pool.healthy_ones(),
        pool.slow_and_silent(),
        pool.failing(),
        pool.together_and_again(),
        pool.capacity_and_membership(),
        pool.clients(),
    ];
    groups.into_iter().flatten().collect()
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[derive(Clone, Copy)]
struct Pool {
    n: usize,
    load: f64,
}

impl Pool {
    /// All is well, all the time.
    fn calm(self, name: &str, about: &'static str) -> Scenario {
        Scenario {
            name: name.to_owned(),
            about,
            capacities: vec![1.0; self.n],
            members: (0..self.n).collect(),
            workers: WORKERS,
            service: ServiceTime::Lognormal {
                mean: MEAN,
                sigma: 0.25,
            },
            rate: self.rate(self.n as f64, MEAN),
            load: self.load,
            network: Duration::from_micros(200),
            timeout: s(1),
            cancels: 0.0,
            patience: 2 * MEAN,
            retries: 0,
            steps: Vec::new(),
            fault: Fault {
                hosts: Vec::new(),
                from: s(FROM),
                until: s(LENGTH),
            },
            length: s(LENGTH),
        }
    }

    /// The arrivals that so many hosts' worth of capacity bears at this load.
    fn rate(self, capacity: f64, mean: Duration) -> f64 {
        self.load * capacity * WORKERS as f64 / mean.as_secs_f64()
    }

    /// The first hosts of the pool are in a bad way from second 20 to second 60.
    fn faulty(
        self,
        name: &str,
        about: &'static str,
        hosts: usize,
        condition: Condition,
    ) -> Scenario {
        let hosts: Vec<usize> = (0..hosts).collect();
        let mut scenario = self.calm(name, about);
        scenario.steps = vec![
            (s(FROM), Step::Set(hosts.clone(), condition)),
            (s(UNTIL), Step::Set(hosts.clone(), Condition::HEALTHY)),
        ];
        scenario.fault = Fault {
            hosts,
            from: s(FROM),
            until: s(UNTIL),
        };
        scenario
    }

    /// This share of the pool, at least one host, and never all.
    fn share(self, share: f64) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let hosts = (self.n as f64 * share).round() as usize;
        hosts.clamp(1, self.n.saturating_sub(1).max(1))
    }

    fn healthy_ones(self) -> Vec<Scenario> {
        let with = |name, about, service: ServiceTime| {
            let mut scenario = self.calm(name, about);
            scenario.service = service;
            scenario.rate = self.rate(self.n as f64, service.mean());
            scenario.timeout = s(60);
            scenario
        };
        let mean = MEAN;
        vec![
            self.calm("S0", "healthy"),
            with(
                "S13a",
                "lognormal, σ = 1",
                ServiceTime::Lognormal { mean, sigma: 1.0 },
            ),
            with(
                "S13b",
                "Pareto, α = 1.5",
                ServiceTime::Pareto { mean, shape: 1.5 },
            ),
            with(
                "S13c",
                "one in a hundred takes 20 times as long",
                ServiceTime::Tailed {
                    mean,
                    sigma: 0.25,
                    share: 0.01,
                    times: 20.0,
                },
            ),
        ]
    }

    fn slow_and_silent(self) -> Vec<Scenario> {
        vec![
            self.faulty("S1", "one host 10 times as slow", 1, Condition::slow(10.0)),
            self.faulty(
                "S2a",
                "a fifth 10 times as slow",
                self.share(0.2),
                Condition::slow(10.0),
            ),
            self.faulty(
                "S2b",
                "30 % 10 times as slow",
                self.share(0.3),
                Condition::slow(10.0),
            ),
            self.faulty("S3", "one host hangs", 1, Condition::Hanging),
        ]
    }

    fn failing(self) -> Vec<Scenario> {
        let grey = |name, about, errors| self.faulty(name, about, 1, Condition::grey(errors));
        vec![
            self.faulty("S4", "one host refuses connections", 1, Condition::Refusing),
            self.faulty(
                "S5",
                "one host fails in 2 ms",
                1,
                Condition::failing_fast(1.0),
            ),
            grey("S6-1", "one host fails 1 %", 0.01),
            grey("S6-5", "one host fails 5 %", 0.05),
            grey("S6-10", "one host fails 10 %", 0.1),
            grey("S6-50", "one host fails 50 %", 0.5),
            self.faulty(
                "S6-two",
                "two in five fail 10 %",
                self.share(0.4),
                Condition::grey(0.1),
            ),
            self.faulty(
                "S7",
                "one host fails one route in ten, fast",
                1,
                Condition::failing_fast(0.1),
            ),
            self.faulty(
                "S19",
                "one host answers half with 429",
                1,
                Condition::Limiting { share: 0.5 },
            ),
        ]
    }

    fn together_and_again(self) -> Vec<Scenario> {
        let all = |name, about, errors| {
            let mut scenario = self.faulty(name, about, self.n, Condition::grey(errors));
            if let Some((at, _)) = scenario.steps.last_mut() {
                *at = s(FROM + 20);
            }
            scenario.fault.until = s(FROM + 20);
            scenario
        };
        let third = self.share(1.0 / 3.0);
        vec![
            all("S8a", "all fail 10 % for 20 s", 0.1),
            all("S8b", "all fail all for 20 s", 1.0),
            self.flapping(),
            self.outage(),
            self.faulty(
                "S17",
                "a third of the pool is gone",
                third,
                Condition::Refusing,
            ),
        ]
    }

    fn flapping(self) -> Scenario {
        let down = Condition::failing_fast(1.0);
        let mut scenario = self.faulty("S9", "one host fails for 3 s of every 6", 1, down);
        scenario.steps = (FROM..UNTIL)
            .step_by(3)
            .enumerate()
            .map(|(turn, at)| {
                let condition = if turn % 2 == 0 {
                    down
                } else {
                    Condition::HEALTHY
                };
                (s(at), Step::Set(vec![0], condition))
            })
            .chain([(s(UNTIL), Step::Set(vec![0], Condition::HEALTHY))])
            .collect();
        scenario
    }

    fn outage(self) -> Scenario {
        let mut scenario = self.faulty("S11", "one host is away for 60 s", 1, Condition::Refusing);
        if let Some((at, _)) = scenario.steps.last_mut() {
            *at = s(FROM + 60);
        }
        scenario.fault.until = s(FROM + 60);
        scenario.length = s(FROM + 120);
        scenario
    }

    fn capacity_and_membership(self) -> Vec<Scenario> {
        vec![self.cold_start(), self.mixed(), self.deploy(), self.churn()]
    }

    fn cold_start(self) -> Scenario {
        let newcomer = self.n;
        let mut scenario = self.calm("S10", "a host joins, 5 times as slow for 30 s");
        scenario.capacities.push(1.0);
        let all = (0..=newcomer).collect();
        scenario.steps = vec![
            (s(0), Step::Set(vec![newcomer], Condition::slow(5.0))),
            (s(FROM), Step::Members(all)),
            (s(FROM + 30), Step::Set(vec![newcomer], Condition::HEALTHY)),
        ];
        scenario
    }

    fn mixed(self) -> Scenario {
        let mut scenario = self.calm("S12", "hosts of 1, 2 and 4 times the speed");
        let speeds = [1.0, 2.0, 4.0];
        scenario.capacities = (0..self.n)
            .filter_map(|host| speeds.get(host % 3).copied())
            .collect();
        scenario.rate = self.rate(scenario.capacities.iter().sum(), MEAN);
        scenario
    }

    /// Every five seconds one goes and a new one comes, twice as slow for its first five seconds.
    fn deploy(self) -> Scenario {
        let mut scenario = self.calm("S14", "one host is replaced every 5 s");
        let replaced = self.n.min(10);
        scenario.capacities.resize(self.n + replaced, 1.0);
        for turn in 0..replaced {
            let at = s(FROM + 5 * turn as u64);
            let newcomer = self.n + turn;
            let members = (turn + 1..=newcomer).collect();
            scenario
                .steps
                .push((at, Step::Set(vec![newcomer], Condition::slow(2.0))));
            scenario.steps.push((at, Step::Members(members)));
            scenario
                .steps
                .push((at + s(5), Step::Set(vec![newcomer], Condition::HEALTHY)));
        }
        scenario.steps.sort_by_key(|it| it.0);
        scenario
    }

    /// Every two seconds one of the pool is away from the list, and back at the next change.
    fn churn(self) -> Scenario {
        let mut scenario = self.calm("S20", "discovery leaves one host out, another every 2 s");
        for turn in 0..20_usize {
            let away = turn % self.n;
            let members = (0..self.n)
                .filter(|host| *host != away || self.n == 1)
                .collect();
            let at = s(FROM + 2 * turn as u64);
            scenario.steps.push((at, Step::Members(members)));
        }
        scenario
            .steps
            .push((s(UNTIL), Step::Members((0..self.n).collect())));
        scenario
    }

    fn clients(self) -> Vec<Scenario> {
        let cancels = |name, about, condition| {
            let mut scenario = self.faulty(name, about, 1, condition);
            scenario.cancels = 0.3;
            scenario
        };
        vec![
            self.overload("S15a", "10 % more than the pool can do", 1.1),
            self.overload("S15b", "50 % more than the pool can do", 1.5),
            cancels(
                "S16a",
                "one host fails; 30 % of clients leave",
                Condition::failing_fast(1.0),
            ),
            cancels(
                "S16b",
                "one host hangs; 30 % of clients leave",
                Condition::Hanging,
            ),
            self.retry_storm(),
        ]
    }

    fn overload(self, name: &str, about: &'static str, load: f64) -> Scenario {
        let mut scenario = self.calm(name, about);
        let heavy = Self { load, ..self }.rate(self.n as f64, MEAN);
        scenario.steps = vec![
            (s(FROM), Step::Rate(heavy)),
            (s(UNTIL), Step::Rate(scenario.rate)),
        ];
        scenario
    }

    fn retry_storm(self) -> Scenario {
        let condition = Condition::grey(0.5);
        let about = "all fail half for 20 s; clients ask three times";
        let mut scenario = self.faulty("S18", about, self.n, condition);
        if let Some((at, _)) = scenario.steps.last_mut() {
            *at = s(FROM + 20);
        }
        scenario.fault.until = s(FROM + 20);
        scenario.retries = 2;
        scenario
    }
}
