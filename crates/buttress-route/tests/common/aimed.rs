//! A pool of endpoints that do nothing, whose requests go where the test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::health::{HealthSignal, HealthStatus};
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;
use buttress_route::{
    Acquired, Change, Config, Endpoint, EndpointState, HealthRouter, Judged, Pick, Policy, View,
};

/// Sends each request to the endpoint that the test is about.
#[derive(Debug, Default)]
struct Aim(AtomicUsize);

impl Pick for Aim {
    fn pick(&self, _: &View<'_>) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed))
    }
}

/// A pool whose requests go where the test says.
pub struct Aimed {
    pub time: ManualClock,
    aim: Arc<Aim>,
    pub signal: HealthSignal,
    pub router: HealthRouter<()>,
}

impl Aimed {
    pub fn new(endpoints: usize, max_ejected: f64) -> Self {
        Self::with(endpoints, max_ejected, |config| config)
    }

    /// The same, configured further.
    pub fn with(
        endpoints: usize,
        max_ejected: f64,
        configure: impl FnOnce(Config) -> Config,
    ) -> Self {
        let (time, aim) = (ManualClock::new(), Arc::new(Aim::default()));
        let config = Config::new("test")
            .policy(Policy::Custom(Arc::clone(&aim) as Arc<dyn Pick>))
            .max_ejected(max_ejected)
            .clock(time.clock())
            .rng(Rng::seeded(3));
        let pool = Self {
            router: HealthRouter::new(configure(config), []).unwrap(),
            time,
            aim,
            signal: HealthSignal::new(),
        };
        pool.update(&vec![1; endpoints]);
        pool
    }

    /// The signal speaks of the first of them.
    pub fn update(&self, weights: &[u32]) {
        let endpoint = |(index, weight): (usize, &u32)| {
            let endpoint = Endpoint::new(index.to_string(), ()).weight(*weight);
            match index {
                0 => endpoint.signal(self.signal.clone()),
                _ => endpoint,
            }
        };
        let endpoints = weights.iter().enumerate().map(endpoint);
        self.router.handle().update(endpoints).unwrap();
    }

    /// A request to the endpoint for each letter: `S` succeeds, `F` fails, `T` breaks, `D` is too late, `I` is disregarded.
    pub fn send(&self, endpoint: usize, outcomes: &str) {
        self.aim.0.store(endpoint, Ordering::Relaxed);
        for letter in outcomes.chars() {
            let picked = self.router.try_acquire().unwrap();
            picked.record(outcome(letter));
        }
    }

    /// As many requests to the endpoint, which have not ended.
    pub fn hold(&self, endpoint: usize, requests: usize) -> Vec<Acquired<()>> {
        self.aim.0.store(endpoint, Ordering::Relaxed);
        let request = |_| self.router.try_acquire().unwrap();
        (0..requests).map(request).collect()
    }

    pub fn pass(&self, seconds: u64) {
        self.time.advance(Duration::from_secs(seconds));
    }

    /// The signal says so, and a request that is meant for the endpoint finds that out.
    pub fn says(&self, status: HealthStatus) {
        self.signal.publish(status);
        self.pass(1);
        self.send(0, "S");
    }

    pub fn judged(&self, endpoint: usize) -> Vec<Judged> {
        let pool = self.router.handle().snapshot();
        pool.endpoints[endpoint].verdicts.clone()
    }

    /// What was decided of the first endpoint: from, to, rule.
    pub fn walk(&self) -> Vec<(EndpointState, EndpointState, String)> {
        let transition = |judged: Judged| match judged.change {
            Change::Transition { from, to } => Some((from, to, judged.verdict.rule.into_owned())),
            _ => None,
        };
        self.judged(0).into_iter().filter_map(transition).collect()
    }
}

pub fn outcome(letter: char) -> Outcome {
    match letter {
        'F' => Outcome::Failure(FailureKind::Answer),
        'T' => Outcome::Failure(FailureKind::Transport),
        'D' => Outcome::Failure(FailureKind::Deadline),
        'I' => Outcome::Ignored,
        _ => Outcome::Success,
    }
}
