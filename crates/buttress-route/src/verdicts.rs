//! The last verdicts about an endpoint, for whoever asks why.

use std::collections::VecDeque;

use buttress_core::clock::Instant;
use buttress_core::verdict::Verdict;

use crate::snapshot::{Change, Judged};

/// As many are kept of an endpoint.
const KEPT: usize = 16;

/// A ring of verdicts. It takes no memory before the first.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(VecDeque<Judged>);

impl Verdicts {
    /// What is held back again and again, by the same rule for the same reason, is one entry with a count, or it
    /// would push out what led to it.
    pub(crate) fn push(&mut self, at: Instant, change: Change, verdict: Verdict) {
        let last = self.0.back_mut().filter(|last| {
            let again = last.change == change && change == Change::Suppressed;
            again && last.verdict.rule == verdict.rule && last.verdict.action == verdict.action
        });
        if let Some(last) = last {
            let times = last.times.saturating_add(1);
            *last = Judged {
                at,
                change,
                verdict,
                times,
            };
            return;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Judged {
            at,
            change,
            verdict,
            times: 1,
        });
    }

    pub(crate) fn last(&self) -> Option<&Verdict> {
        self.0.back().map(|judged| &judged.verdict)
    }

    /// Oldest first.
    pub(crate) fn to_vec(&self) -> Vec<Judged> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use buttress_core::verdict::Action;

    use super::*;
    use crate::snapshot::EndpointState;

    const OUT: Change = Change::Transition {
        from: EndpointState::Active,
        to: EndpointState::Ejected,
    };

    fn held_back(why: &'static str) -> Verdict {
        Verdict::new("failure_rate", Action::Suppressed(why.into()))
    }

    #[test]
    fn the_last_sixteen_are_kept_and_none_takes_no_memory() {
        let mut verdicts = Verdicts::default();
        assert_eq!(verdicts.0.capacity(), 0);
        for nth in 0..100 {
            let at = Instant::from_nanos(nth);
            verdicts.push(at, OUT, Verdict::new("probe", Action::Probing));
        }
        let kept: Vec<u64> = verdicts
            .to_vec()
            .iter()
            .map(|it| it.at.as_nanos())
            .collect();
        assert_eq!(kept, (84..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_held_back_again_and_again_is_one_entry_with_a_count() {
        let mut verdicts = Verdicts::default();
        verdicts.push(Instant::ORIGIN, OUT, Verdict::new("probe", Action::Probing));
        for nth in 0..100 {
            let verdict = held_back("max_ejected");
            verdicts.push(Instant::from_nanos(nth), Change::Suppressed, verdict);
        }
        verdicts.push(
            Instant::NEVER,
            Change::Suppressed,
            held_back("last_endpoint"),
        );
        let kept = verdicts.to_vec();
        assert_eq!(
            kept.iter().map(|it| it.times).collect::<Vec<_>>(),
            [1, 100, 1]
        );
        assert_eq!(kept[1].at.as_nanos(), 99);
        assert_eq!(verdicts.last(), Some(&held_back("last_endpoint")));
    }
}
