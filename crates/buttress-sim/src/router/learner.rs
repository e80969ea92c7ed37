//! What a router could do that has to find out who is faulty by its own requests, and needs but one sign.

use std::time::Duration;

use buttress_core::clock::Instant;

use super::{End, PerHost, Router, View};

/// A request that has been out for so many times what answers take is a sign.
const LATE: u32 = 2;
/// What answers take, before there are any.
const UNKNOWN: Duration = Duration::from_secs(1);
/// An answer moves what answers take by so much of the difference.
const WEIGHT: f64 = 0.01;

/// The fewest in flight of those that it does not know to be faulty. At the first failure, and at the first request
/// that is out for twice as long as answers take, it is told whether the host is faulty; and when that is over. Nobody can learn
/// faster who is asked by users alone, and not by other routers.
#[derive(Debug)]
pub(super) struct Learner {
    usual: Duration,
    turn: usize,
    hosts: PerHost<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When each request was sent that is out, by its call.
    out: Vec<(usize, Instant)>,
    suspect: bool,
}

impl Learner {
    pub(super) const fn new() -> Self {
        Self {
            usual: UNKNOWN,
            turn: 0,
            hosts: PerHost::new(),
        }
    }

    /// Whether there has been a sign that `host` is faulty. Of one that is not, signs mean nothing.
    fn knows(&mut self, host: usize, is_well: bool, now: Instant) -> bool {
        let late = self.usual * LATE;
        let seen = self.hosts.get(host);
        let is_late = |sent: &Instant| now.saturating_since(*sent) > late;
        seen.suspect |= seen.out.iter().any(|(_, sent)| is_late(sent));
        seen.suspect &= !is_well;
        seen.suspect
    }
}

impl Router for Learner {
    fn send(&mut self, call: usize, view: View<'_>) -> Option<usize> {
        let cost = |member: &usize| Some(view.hosts.get(*member)?.idle_cost());
        let costs = || view.members.iter().filter_map(cost);
        let least = costs()
            .min_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal))?;
        self.turn += 1;
        let members = view.members.len();
        let from = self.turn.checked_rem(members)?;
        let in_turn = view.members.iter().cycle().skip(from).take(members);
        let best = in_turn.min_by_key(|member| {
            let is_well = cost(member) == Some(least);
            let known = self.knows(**member, is_well, view.now);
            (known, self.hosts.get(**member).out.len())
        });
        let host = *best?;
        self.hosts.get(host).out.push((call, view.now));
        Some(host)
    }

    fn ended(
        &mut self,
        call: usize,
        host: usize,
        end: End,
        took: Duration,
        _: Instant,
    ) -> Option<usize> {
        let late = self.usual * LATE;
        let seen = self.hosts.get(host);
        seen.out.retain(|(it, _)| *it != call);
        seen.suspect |= end.is_failure() || took > late;
        if end.is_good() && took <= late {
            let usual = self.usual.as_secs_f64();
            let weight = if self.usual == UNKNOWN { 1.0 } else { WEIGHT };
            self.usual = Duration::from_secs_f64(usual + weight * (took.as_secs_f64() - usual));
        }
        None
    }

    fn members(&mut self, _: &[usize], _: Instant) {}
}
