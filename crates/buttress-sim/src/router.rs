//! What is compared: buttress as it is, tower's balancer as it is, and models of what others do.

mod buttress;
mod copies;
mod envoy;
mod informed;
mod learner;
mod least_request;
mod linkerd;
mod oracle;
mod reached;
mod round_robin;
mod tower;

use std::time::Duration;

use buttress_core::clock::{Clock, Instant};
use buttress_core::rng::Rng;

use crate::host::{Answer, Host};
use crate::world::CallRef;

/// How a call to a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The host answered, or refused the connection.
    Answered(Answer),
    /// The timeout passed.
    TimedOut,
    /// The client left.
    Left,
}

impl End {
    /// Whether somebody has what they asked for.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Answered(Answer::Good))
    }

    /// Whether it counts against the host where only 5xx, broken connections and timeouts do.
    const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Answered(Answer::Failure | Answer::Refused) | Self::TimedOut
        )
    }
}

/// What there is to choose from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The time.
    pub now: Instant,
    /// The pool's members, by index.
    pub members: &'a [usize],
    /// Everything, which only an oracle looks at.
    pub hosts: &'a [Host<CallRef>],
}

/// One router: it sees its own calls alone.
pub trait Router {
    /// The host that `call` goes to; `None` if the router answers it itself.
    fn send(&mut self, call: usize, view: View<'_>) -> Option<usize>;

    /// `call`, which went to `host`, has ended after `took`: the host that the router sends it to next, by
    /// the same number, if it fails over.
    fn ended(
        &mut self,
        call: usize,
        host: usize,
        end: End,
        took: Duration,
        now: Instant,
    ) -> Option<usize>;

    /// The host of a call that the router has made in the background, for nobody, and that is `call` from
    /// now on; `None` if there is none that has not been told.
    fn copy(&mut self, _call: usize) -> Option<usize> {
        None
    }

    /// A call in the background that the router waits for no longer.
    fn given_up(&mut self) -> Option<usize> {
        None
    }

    /// The pool has these members from now on.
    fn members(&mut self, members: &[usize], now: Instant);

    /// How often it threw a host out.
    fn ejections(&self) -> u64 {
        0
    }
}

/// Which router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// `buttress_route::HealthRouter::hedged`, as in the gateway: copies of requests are the probes.
    Buttress,
    /// `buttress_route::HealthRouter` as it comes: users' requests are the probes.
    ButtressUsers,
    /// `buttress_route::failover::Failover` over the first.
    ButtressFailover,
    /// `buttress_breaker::Breaker::for_http_upstream()` over the first.
    ButtressBreaker,
    /// One after the other.
    RoundRobin,
    /// The one with fewer calls in flight, of two drawn.
    LeastRequest,
    /// `tower::balance::p2c` over `tower::load::PeakEwma`: tower's own code.
    TowerPeakEwma,
    /// Least request of two, with outlier detection and panic threshold as Envoy's defaults.
    Envoy,
    /// Peak EWMA of two, with the consecutive-failures breaker of Linkerd on each endpoint.
    Linkerd,
    /// Knows every host's condition: round robin over the best.
    Informed,
    /// Knows a host's condition at the first sign that it had itself, and not before.
    Learner,
    /// Knows every host's condition and queue: what nobody can know.
    Oracle,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Buttress,
        Self::ButtressUsers,
        Self::ButtressFailover,
        Self::ButtressBreaker,
        Self::RoundRobin,
        Self::LeastRequest,
        Self::TowerPeakEwma,
        Self::Envoy,
        Self::Linkerd,
        Self::Informed,
        Self::Learner,
        Self::Oracle,
    ];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buttress => "buttress",
            Self::ButtressUsers => "buttress-by-users",
            Self::ButtressFailover => "buttress+failover",
            Self::ButtressBreaker => "buttress+breaker",
            Self::RoundRobin => "round-robin",
            Self::LeastRequest => "p2c-least-request",
            Self::TowerPeakEwma => "tower-p2c-peak-ewma",
            Self::Envoy => "envoy-model",
            Self::Linkerd => "linkerd-model",
            Self::Informed => "knows-the-faults",
            Self::Learner => "knows-at-first-sign",
            Self::Oracle => "oracle",
        }
    }

    /// The policy of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }

    /// A router of this policy over `members`.
    pub fn build(self, members: &[usize], clock: &Clock, rng: &Rng) -> Box<dyn Router> {
        let rng = rng.clone();
        match self {
            Self::Buttress => buttress::by_copies(members, clock, rng),
            Self::ButtressUsers => buttress::by_users(members, clock, rng),
            Self::ButtressFailover => buttress::failing_over(members, clock, rng),
            Self::ButtressBreaker => buttress::guarded(members, clock, rng),
            Self::RoundRobin => Box::new(round_robin::RoundRobin::new(&rng)),
            Self::LeastRequest => Box::new(least_request::LeastRequest::new(rng)),
            Self::TowerPeakEwma => Box::new(tower::TowerBalance::new(members, rng)),
            Self::Envoy => Box::new(envoy::Envoy::new(rng)),
            Self::Linkerd => Box::new(linkerd::Linkerd::new(rng)),
            Self::Informed => Box::new(informed::Informed::new(&rng)),
            Self::Learner => Box::new(learner::Learner::new()),
            Self::Oracle => Box::new(oracle::Oracle::new(rng)),
        }
    }
}

/// Two different ones of `members`, or the only one twice.
fn two_of(members: &[usize], rng: &Rng) -> Option<(usize, usize)> {
    let first = rng.below(members.len());
    let others = members.len().saturating_sub(1);
    let second = match rng.below(others) {
        second if others > 0 && second >= first => second + 1,
        second if others > 0 => second,
        _ => first,
    };
    Some((*members.get(first)?, *members.get(second)?))
}

/// A list with a place for each host, which grows as hosts are heard of.
#[derive(Debug, Default)]
struct PerHost<T>(Vec<T>);

impl<T: Default> PerHost<T> {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn get(&mut self, host: usize) -> &mut T {
        if self.0.len() <= host {
            self.0.resize_with(host + 1, T::default);
        }
        #[expect(clippy::indexing_slicing, reason = "the line above made the place")]
        &mut self.0[host]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_are_drawn_differ_and_each_pair_is_as_likely() {
        let rng = Rng::seeded(3);
        let mut counts = [[0_u32; 3]; 3];
        for _ in 0..30_000 {
            let (one, other) = two_of(&[0, 1, 2], &rng).unwrap();
            counts[one][other] += 1;
        }
        for (one, row) in counts.iter().enumerate() {
            for (other, count) in row.iter().enumerate() {
                assert!(
                    if one == other {
                        *count == 0
                    } else {
                        (4_700..5_300).contains(count)
                    },
                    "{counts:?}"
                );
            }
        }
        assert_eq!(two_of(&[7], &rng), Some((7, 7)));
        assert_eq!(two_of(&[], &rng), None);
    }
}
