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
    /// would push out what led to it. So is whoever is shunned again as soon as it is not.
    ///
    /// How many times that was: once for what is told anew.
    pub(crate) fn push(&mut self, at: Instant, change: Change, verdict: Verdict) -> u32 {
        let before = self.take_like(change, &verdict);
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let times = before.map_or(1, |times| times.saturating_add(1));
        self.0.push_back(Judged {
            at,
            change,
            verdict,
            times,
        });
        times
    }

    /// Takes out the last entry that is like this one, with what was between, if this goes on with it; how many it stood for.
    fn take_like(&mut self, change: Change, verdict: &Verdict) -> Option<u32> {
        let between = match (change, self.0.back()?.change) {
            (Change::Suppressed, _) => 0,
            (Change::Shunned, Change::Resumed) => 1,
            _ => return None,
        };
        let place = self.0.len().checked_sub(between + 1)?;
        let like = self.0.get(place).filter(|it| {
            let same = it.change == change && it.verdict.rule == verdict.rule;
            same && it.verdict.action == verdict.action
        });
        let times = like?.times;
        self.0.truncate(place);
        Some(times)
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

    #[test]
    fn who_is_shunned_again_as_soon_as_it_is_not_is_one_entry_until_it_is_so_for_something_else() {
        let mut verdicts = Verdicts::default();
        let mut told = |rule, change, action| {
            verdicts.push(Instant::ORIGIN, change, Verdict::new(rule, action));
            let kept = verdicts.to_vec();
            let entry = |it: &Judged| (it.verdict.rule.to_string(), it.change, it.times);
            kept.iter().map(entry).collect::<Vec<_>>()
        };
        for times in 1..20 {
            let kept = told("slow", Change::Shunned, Action::Shunned);
            assert_eq!(kept, [("slow".into(), Change::Shunned, times)]);
            told("slow", Change::Resumed, Action::Resumed);
        }
        let kept = told("silent", Change::Shunned, Action::Shunned);
        assert_eq!(
            kept,
            [
                ("slow".into(), Change::Shunned, 19),
                ("slow".into(), Change::Resumed, 1),
                ("silent".into(), Change::Shunned, 1),
            ]
        );
    }
}
