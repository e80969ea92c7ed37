//! Which runs there are, and running them.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::report::Row;
use crate::router::Policy;
use crate::scenario::{self, Scenario};
use crate::world;

/// One run.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What happens.
    pub scenario: Scenario,
    /// How many routers there are.
    pub routers: usize,
    /// Which.
    pub policy: Policy,
    /// The seed.
    pub seed: u64,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Sizes of the pool.
    pub hosts: Vec<usize>,
    /// Loads, of 0 to 1.
    pub loads: Vec<f64>,
    /// Numbers of routers.
    pub routers: Vec<usize>,
    /// Policies.
    pub policies: Vec<Policy>,
    /// Seeds, from 1.
    pub seeds: u64,
    /// Names of scenarios, or none for all.
    pub only: Vec<String>,
    /// Runs in which nothing changes have at least so many requests.
    pub requests: u64,
}

impl Default for Grid {
    /// The cells that ten minutes are enough for.
    fn default() -> Self {
        Self {
            hosts: vec![10],
            loads: vec![0.75],
            routers: vec![1, 20],
            policies: compared().collect(),
            seeds: 5,
            only: Vec::new(),
            requests: 0,
        }
    }
}

/// Who knows at the first sign is there for the bars.
fn compared() -> impl Iterator<Item = Policy> {
    let all = Policy::ALL.into_iter();
    all.filter(|it| *it != Policy::Learner)
}

impl Grid {
    /// The whole grid, with ten million requests where nothing changes.
    pub fn full() -> Self {
        Self {
            requests: 10_000_000,
            ..Self::whole()
        }
    }

    /// The whole grid, in runs as short as those of the default.
    pub fn whole() -> Self {
        Self {
            hosts: vec![3, 10, 50],
            loads: vec![0.5, 0.75, 0.9],
            ..Self::default()
        }
    }

    /// Its cells.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for scenario in self.scenarios() {
            for &routers in &self.routers {
                for &policy in &self.policies {
                    for seed in 1..=self.seeds {
                        let scenario = scenario.clone();
                        cells.push(Cell {
                            scenario,
                            routers,
                            policy,
                            seed,
                        });
                    }
                }
            }
        }
        cells
    }

    fn scenarios(&self) -> Vec<Scenario> {
        let mut scenarios = scenario::named();
        for &hosts in &self.hosts {
            for &load in &self.loads {
                scenarios.extend(scenario::suite(hosts, load));
            }
        }
        let wanted = |it: &Scenario| self.only.is_empty() || self.only.contains(&it.name);
        let prolonged = |it: Scenario| {
            let length = Duration::from_secs_f64(self.requests as f64 / it.rate);
            it.prolonged(length)
        };
        scenarios
            .into_iter()
            .filter(wanted)
            .map(prolonged)
            .collect()
    }
}

/// Runs `cells` on as many threads as there are processors; rows come as runs end.
pub fn run(cells: &[Cell], each: impl FnMut(&Cell, Row) + Send) {
    let next = AtomicUsize::new(0);
    let each = Mutex::new(each);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seen = world::run(&cell.scenario, cell.policy, cell.routers, cell.seed);
                    let row = Row::of(cell, &seen);
                    let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
                    each(cell, row);
                }
            });
        }
    });
}
