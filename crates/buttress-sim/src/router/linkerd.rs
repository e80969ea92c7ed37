//! Linkerd with its failure accrual on: peak EWMA of two among the endpoints whose breaker is shut
//! to nobody, seven failures in a row, then a probe after each backoff of 1 to 60 seconds.
//!
//! The wedge that a probe without verdict leaves in the original is not modelled: it would make the
//! comparison easy.

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use super::{End, PerHost, Router, View, two_of};

const CONSECUTIVE: u32 = 7;
const MIN_PENALTY: Duration = Duration::from_secs(1);
const MAX_PENALTY: Duration = Duration::from_secs(60);
const JITTER: f64 = 0.5;
const SEED: Duration = Duration::from_millis(30);
const DECAY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Linkerd {
    rng: Rng,
    endpoints: PerHost<Endpoint>,
    open: Vec<usize>,
    ejections: u64,
}

#[derive(Debug)]
struct Endpoint {
    ewma: f64,
    at: Instant,
    pending: u32,
    in_a_row: u32,
    gate: Gate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Gate {
    Open,
    Shut { until: Instant, attempt: u32 },
    Probing { call: Option<usize>, attempt: u32 },
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            ewma: SEED.as_secs_f64(),
            at: Instant::from_nanos(0),
            pending: 0,
            in_a_row: 0,
            gate: Gate::Open,
        }
    }
}

impl Endpoint {
    fn observe(&mut self, took: f64, now: Instant) {
        if took > self.ewma {
            self.ewma = took;
        } else {
            let kept = self.kept(now);
            self.ewma = self.ewma * kept + took * (1.0 - kept);
        }
        self.at = now;
    }

    fn load(&self, now: Instant) -> f64 {
        self.ewma * self.kept(now) * f64::from(self.pending + 1)
    }

    fn kept(&self, now: Instant) -> f64 {
        (-now.saturating_since(self.at).as_secs_f64() / DECAY.as_secs_f64()).exp()
    }

    /// Whether a request may come now.
    fn is_ready(&mut self, now: Instant) -> bool {
        match self.gate {
            Gate::Open | Gate::Probing { call: None, .. } => true,
            Gate::Shut { until, attempt } if now >= until => {
                self.gate = Gate::Probing {
                    call: None,
                    attempt,
                };
                true
            }
            Gate::Shut { .. } | Gate::Probing { .. } => false,
        }
    }
}

impl Linkerd {
    pub(super) const fn new(rng: Rng) -> Self {
        Self {
            rng,
            endpoints: PerHost::new(),
            open: Vec::new(),
            ejections: 0,
        }
    }

    fn penalty(&self, attempt: u32) -> Duration {
        let plain = MIN_PENALTY
            .saturating_mul(2_u32.saturating_pow(attempt))
            .min(MAX_PENALTY);
        plain.mul_f64(1.0 + JITTER * self.rng.unit())
    }

    fn shut(&mut self, host: usize, attempt: u32, now: Instant) {
        let until = now.saturating_add(self.penalty(attempt));
        self.endpoints.get(host).gate = Gate::Shut { until, attempt };
        self.ejections += 1;
    }

    fn judge(&mut self, call: usize, host: usize, end: End, now: Instant) {
        let endpoint = self.endpoints.get(host);
        match endpoint.gate {
            Gate::Probing {
                call: Some(probe),
                attempt,
            } if probe == call => match end {
                End::Left => {
                    endpoint.gate = Gate::Probing {
                        call: None,
                        attempt,
                    }
                }
                _ if end.is_failure() => self.shut(host, attempt + 1, now),
                _ => (endpoint.gate, endpoint.in_a_row) = (Gate::Open, 0),
            },
            Gate::Open if end.is_failure() => {
                endpoint.in_a_row += 1;
                if endpoint.in_a_row >= CONSECUTIVE {
                    self.shut(host, 0, now);
                }
            }
            Gate::Open if end != End::Left => endpoint.in_a_row = 0,
            _ => {}
        }
    }
}

impl Router for Linkerd {
    fn send(&mut self, call: usize, view: View<'_>) -> Option<usize> {
        let now = view.now;
        self.open.clear();
        for &host in view.members {
            if self.endpoints.get(host).is_ready(now) {
                self.open.push(host);
            }
        }
        let (one, other) = two_of(&self.open, &self.rng)?;
        let dearer = self.endpoints.get(one).load(now) > self.endpoints.get(other).load(now);
        let host = if dearer { other } else { one };
        let endpoint = self.endpoints.get(host);
        endpoint.pending += 1;
        if let Gate::Probing { call: probe, .. } = &mut endpoint.gate {
            *probe = Some(call);
        }
        Some(host)
    }

    fn ended(
        &mut self,
        call: usize,
        host: usize,
        end: End,
        took: Duration,
        now: Instant,
    ) -> Option<usize> {
        let endpoint = self.endpoints.get(host);
        endpoint.pending -= 1;
        endpoint.observe(took.as_secs_f64(), now);
        self.judge(call, host, end, now);
        None
    }

    fn members(&mut self, _: &[usize], _: Instant) {}

    fn ejections(&self) -> u64 {
        self.ejections
    }
}
