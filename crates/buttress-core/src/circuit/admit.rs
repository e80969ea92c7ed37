//! Who is let through, and what time alone brings about.

use super::{Admission, Cause, Circuit, Evidence, Limit, Phase, Ticket, Transition};
use crate::clock::Instant;
use crate::rng::Rng;

impl Circuit {
    /// Whether [`Circuit::expire`] and [`Circuit::admit`] would admit at `now`, changing nothing.
    pub fn would_admit(&self, now: Instant) -> bool {
        match &self.phase {
            Phase::Closed { .. } | Phase::ForcedClosed | Phase::Observing => true,
            Phase::Open { until } => now >= *until,
            Phase::HalfOpen { probes, limit } => match limit.filter(|limit| now >= limit.at) {
                Some(limit) => {
                    now >= limit.admits_at() || probes.would_suffice(limit.at, &self.settings)
                }
                None => {
                    probes.has_room(now, &self.settings)
                        || probes.would_suffice(now, &self.settings)
                }
            },
            Phase::Ramping(progress) => match &self.settings.ramp {
                Some(ramp) => progress.would_pass(ramp, now),
                None => true,
            },
            Phase::ForcedOpen => false,
        }
    }

    /// Ends half-open if it has lasted for as long as it may ([`super::HalfOpenLimit`]), as of then: if nobody
    /// asks for long after, the open time that followed is over as well. To be called before
    /// [`Circuit::admit`] where there may be such a limit.
    pub fn expire(&mut self, now: Instant) -> Option<Transition> {
        let Phase::HalfOpen { probes, limit } = &mut self.phase else {
            return None;
        };
        let limit = limit.filter(|limit| now >= limit.at)?;
        probes.reap(limit.at);
        if probes.suffice(&self.settings) {
            return None;
        }
        match limit.open_for {
            Some(open_for) => Some(self.open_for(open_for, limit.at, Cause::HalfOpenLimit)),
            None => Some(self.recover(now, Cause::HalfOpenLimit)),
        }
    }

    /// Asks to make a call. The first admission after the open time makes the circuit half-open; one
    /// after the leases of enough answered probes have run out ends that; one after the last step of the
    /// ramp closes it.
    pub fn admit(&mut self, now: Instant, rng: &Rng) -> (Admission, Option<Transition>) {
        let transition = self.go_on(now, rng);
        (self.admit_in_phase(now), transition)
    }

    /// What time alone has brought about.
    fn go_on(&mut self, now: Instant, rng: &Rng) -> Option<Transition> {
        match &mut self.phase {
            Phase::Open { until } if now >= *until => Some(self.probe(now, rng, Cause::OpenTime)),
            Phase::HalfOpen { probes, .. } => {
                probes.reap(now);
                let evidence = probes.evidence(&self.settings);
                probes
                    .suffice(&self.settings)
                    .then(|| self.recover(now, Cause::Probes(evidence)))
            }
            Phase::Ramping(progress) => match &self.settings.ramp {
                Some(ramp) => {
                    let course = progress.advance(ramp, now);
                    self.follow(course, None, now, rng)
                }
                None => Some(self.close(now, Cause::Ramp(Evidence::new(0.0, 0.0, 0)))),
            },
            _ => None,
        }
    }

    fn admit_in_phase(&mut self, now: Instant) -> Admission {
        let ordinary = Ticket::ordinary(self.generation);
        match &mut self.phase {
            Phase::Closed { .. } | Phase::ForcedClosed | Phase::Observing => {
                Admission::Admitted(ordinary)
            }
            Phase::Open { until } => Admission::Rejected(until.saturating_since(now)),
            Phase::HalfOpen { probes, limit } => match probes.lease(now, &self.settings) {
                Ok(lease) => Admission::Admitted(Ticket::probe(self.generation, lease)),
                Err(wait) => {
                    let freed = now.saturating_add(wait);
                    let ends = limit.filter(|limit| limit.at <= freed);
                    let wait = |limit: Limit| limit.admits_at().saturating_since(now);
                    Admission::Rejected(ends.map_or(freed.saturating_since(now), wait))
                }
            },
            Phase::Ramping(progress) => {
                let ramp = self.settings.ramp.as_ref();
                match ramp.map_or(Ok(()), |ramp| progress.pass(ramp, now)) {
                    Ok(()) => Admission::Admitted(ordinary),
                    Err(wait) => Admission::Rejected(wait),
                }
            }
            Phase::ForcedOpen => Admission::Rejected(self.settings.open_for.base()),
        }
    }
}
