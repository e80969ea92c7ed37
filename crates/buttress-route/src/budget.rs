//! How many endpoints may be out at once: of a pool, and of each of its levels.
//!
//! The share that may be out is that of the pool, and each level (a priority, and of one priority a distance) has a part
//! of it that is its own: its share of itself. What is out elsewhere takes nothing of that, or a later level that fails
//! would keep what fails of the first one in traffic. What is left over, for shares of small levels are rounded down, is
//! for whoever needs it first.

mod bearing;

use std::collections::BTreeMap;

use crate::levels::Rank;
pub(crate) use bearing::{BUSY, Fault, PRESSED};

/// Where the middle of the pool fails this share, nobody is thrown out for failing.
const ALL_IN_TROUBLE: f64 = 0.2;

/// The members of each level, the share that may be out, and how many times its share an endpoint can bear.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    levels: BTreeMap<Rank, usize>,
    share: f64,
    overprovisioning: f64,
}

impl Budget {
    /// Of endpoints of these ranks.
    pub(crate) fn new(
        ranks: impl Iterator<Item = Rank>,
        share: f64,
        overprovisioning: f64,
    ) -> Self {
        Self {
            levels: counted(ranks),
            share,
            overprovisioning,
        }
    }

    /// How many endpoints there are.
    pub(crate) fn members(&self) -> usize {
        self.levels.values().sum()
    }

    /// The first level.
    pub(crate) fn first(&self) -> Option<Rank> {
        self.levels.keys().next().copied()
    }

    /// How many may be out at once where the middle of the pool fails this share.
    pub(crate) fn allowed(&self, trouble: f64) -> usize {
        yielding(allowed(self.members(), self.share), trouble)
    }

    /// Whether the others can bear the share of so many, as far as that was said.
    pub(crate) fn is_overprovisioned_for(&self, out: usize) -> bool {
        let left = self.members().saturating_sub(out) as f64;
        self.members() as f64 <= self.overprovisioning * left
    }

    /// Whether one more of this rank may be out beside those of these ranks.
    pub(crate) fn bears_one_more(
        &self,
        rank: Rank,
        out: impl Iterator<Item = Rank>,
        trouble: f64,
    ) -> bool {
        let out = counted(out.chain([rank]));
        let of_rank = out.get(&rank).copied().unwrap_or_default();
        let one_stays = total(&out) < self.members();
        (one_stays && of_rank <= self.own(rank, trouble)) || self.bears(&out, trouble)
    }

    /// The ranks of whom somebody has to come back, of those that are out: none if the budget bears them all.
    pub(crate) fn overdrawn_by(&self, out: impl Iterator<Item = Rank>, trouble: f64) -> Vec<Rank> {
        let out = counted(out);
        if self.bears(&out, trouble) {
            return Vec::new();
        }
        let beyond =
            |(rank, out): (&Rank, &usize)| (*out > self.own(*rank, trouble)).then_some(*rank);
        let beyond: Vec<Rank> = out.iter().filter_map(beyond).collect();
        if beyond.is_empty() {
            // Each has no more out than its own, and all of that is too much.
            return out.into_keys().collect();
        }
        beyond
    }

    /// Whether what is out beyond each level's own is no more than what is left over, and all of it no more than the
    /// pool bears: where everything is a level's own, one would not stay otherwise.
    fn bears(&self, out: &BTreeMap<Rank, usize>, trouble: f64) -> bool {
        if total(out) > self.allowed(trouble) {
            return false;
        }
        let own: usize = self
            .levels
            .keys()
            .map(|rank| self.own(*rank, trouble))
            .sum();
        let left_over = self.allowed(trouble).saturating_sub(own);
        let beyond = |(rank, out): (&Rank, &usize)| out.saturating_sub(self.own(*rank, trouble));
        out.iter().map(beyond).sum::<usize>() <= left_over
    }

    /// How many of a level may be out whoever else is.
    fn own(&self, rank: Rank, trouble: f64) -> usize {
        let members = self.levels.get(&rank).copied().unwrap_or_default();
        part(members, self.share * left(trouble)).min(self.allowed(trouble))
    }
}

fn counted(ranks: impl Iterator<Item = Rank>) -> BTreeMap<Rank, usize> {
    let mut counted = BTreeMap::new();
    for rank in ranks {
        *counted.entry(rank).or_default() += 1;
    }
    counted
}

fn total(out: &BTreeMap<Rank, usize>) -> usize {
    out.values().sum()
}

/// How many of `members` may be out at once: the share of them, at least one where another stays,
/// never all. A share of 0 means none.
fn allowed(members: usize, share: f64) -> usize {
    let others = members.saturating_sub(1);
    if share <= 0.0 {
        return 0;
    }
    part(members, share).max(1).min(others)
}

/// What is left of a budget in a pool whose middle fails this share.
///
/// Who is thrown out leaves their load to the others. Where these are in trouble themselves, that makes
/// it worse, and there is nobody better: the budget yields with the trouble, and nobody falls off a
/// cliff.
fn yielding(budget: usize, trouble: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is between 0 and the count"
    )]
    let budget = (budget as f64 * left(trouble)).ceil() as usize;
    budget
}

/// The share of a budget that so much trouble leaves.
fn left(trouble: f64) -> f64 {
    (1.0 - trouble / ALL_IN_TROUBLE).clamp(0.0, 1.0)
}

/// A share of a count, rounded down.
fn part(count: usize, share: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is between 0 and the count"
    )]
    let part = (count as f64 * share) as usize;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_a_share_with_one_always_ejectable_and_one_always_left() {
        let table = [
            (0, 0.5, 0),
            (1, 1.0, 0),
            (2, 0.5, 1),
            (3, 0.1, 1),
            (3, 1.0, 2),
            (10, 0.5, 5),
            (10, 0.0, 0),
        ];
        for (members, share, expected) in table {
            assert_eq!(allowed(members, share), expected, "{members} × {share}");
        }
    }

    #[test]
    fn the_budget_yields_bit_by_bit_to_the_trouble_of_the_pool() {
        let left = [0.0, 0.05, 0.1, 0.15, 0.19, 0.2, 1.0].map(|trouble| yielding(5, trouble));
        assert_eq!(left, [5, 4, 3, 2, 1, 0, 0]);
        assert_eq!(
            yielding(1, 0.1),
            1,
            "a small pool can throw one out all the same"
        );
    }

    fn rank(priority: u8) -> Rank {
        Rank {
            priority,
            distance: 0,
        }
    }

    /// So many of each priority.
    fn ranks(of_each: &[usize]) -> impl Iterator<Item = Rank> {
        let levels = (0..).zip(of_each);
        levels.flat_map(|(priority, count)| std::iter::repeat_n(rank(priority), *count))
    }

    #[test]
    fn what_one_level_has_lost_takes_nothing_from_another() {
        let budget = Budget::new(ranks(&[4, 6]), 0.5, 1.4);
        assert_eq!(budget.allowed(0.0), 5);
        // Three of the later are out, which is all that is theirs.
        let later = || ranks(&[0, 3]);
        assert!(!budget.bears_one_more(rank(1), later(), 0.0));
        assert!(budget.bears_one_more(rank(0), later(), 0.0));
        assert!(budget.bears_one_more(rank(0), later().chain([rank(0)]), 0.0));
        assert!(!budget.bears_one_more(rank(0), later().chain(ranks(&[2])), 0.0));
        // By hand more may be out than the budget bears.
        assert!(budget.bears_one_more(rank(0), ranks(&[0, 6]), 0.0));
        assert_eq!(budget.overdrawn_by(ranks(&[2, 4]), 0.0), [rank(1)]);
    }

    #[test]
    fn what_small_levels_leave_over_is_for_whoever_needs_it_first() {
        let budget = Budget::new(ranks(&[1, 1, 1, 1]), 0.5, 1.4);
        assert!(budget.bears_one_more(rank(3), ranks(&[1]), 0.0));
        assert!(!budget.bears_one_more(rank(3), ranks(&[1, 1]), 0.0));
        let pair = Budget::new(ranks(&[1, 1]), 0.5, 1.4);
        assert!(pair.bears_one_more(rank(0), ranks(&[]), 0.0));
    }

    #[test]
    fn one_stays_where_all_of_each_level_may_be_out() {
        let out = || ranks(&[2, 2]);
        let smaller = Budget::new(out(), 1.0, 1.4);
        assert_eq!(smaller.overdrawn_by(out(), 0.0), [rank(0), rank(1)]);
        assert!(!smaller.bears_one_more(rank(0), ranks(&[1, 2]), 0.0));
        assert!(smaller.overdrawn_by(ranks(&[1, 2]), 0.0).is_empty());
    }

    #[test]
    fn as_many_may_be_out_as_leave_the_others_what_they_are_said_to_bear() {
        for (members, bearable) in [(1, 0), (2, 0), (3, 0), (4, 1), (10, 2), (50, 14)] {
            let budget = Budget::new(ranks(&[members]), 0.5, 1.4);
            let bears = |out: &usize| budget.is_overprovisioned_for(*out);
            assert_eq!((1..=members).take_while(bears).count(), bearable);
        }
    }

    fn share() -> impl proptest::strategy::Strategy<Value = f64> {
        proptest::prop_oneof![3 => 0.0..1.0_f64, 1 => proptest::strategy::Just(1.0)]
    }

    /// Mostly some; without any a share of 1 is all.
    fn trouble() -> impl proptest::strategy::Strategy<Value = f64> {
        proptest::prop_oneof![1 => proptest::strategy::Just(0.0), 2 => 0.0..0.25_f64]
    }

    proptest::proptest! {
        #[test]
        fn no_more_are_out_than_the_pool_bears_and_each_level_has_its_own(
            of_each in proptest::collection::vec(1..8_usize, 1..5),
            order in proptest::collection::vec(0..5_u8, 0..60),
            share in share(),
            trouble in trouble(),
        ) {
            let budget = Budget::new(ranks(&of_each), share, 1.4);
            let mut out: Vec<Rank> = Vec::new();
            for priority in order {
                let there = of_each.get(usize::from(priority)).copied().unwrap_or_default();
                let gone = out.iter().filter(|it| it.priority == priority).count();
                if gone == there {
                    continue;
                }
                let bears = budget.bears_one_more(rank(priority), out.iter().copied(), trouble);
                let last = out.len() + 1 == budget.members();
                proptest::prop_assert!(bears || last || gone >= budget.own(rank(priority), trouble));
                if bears {
                    out.push(rank(priority));
                }
                proptest::prop_assert!(out.len() <= budget.allowed(trouble));
                proptest::prop_assert!(budget.overdrawn_by(out.iter().copied(), trouble).is_empty());
            }
        }

        #[test]
        fn whatever_goes_from_the_pool_so_many_come_back_that_it_bears_the_rest(
            levels in proptest::collection::vec((0..5_usize, 0..5_usize), 1..5),
            share in share(),
            trouble in trouble(),
        ) {
            let members: Vec<_> = levels.iter().map(|(out, stay)| out + stay).collect();
            let mut out: Vec<_> = levels.iter().map(|it| it.0).collect();
            let budget = Budget::new(ranks(&members), share, 1.4);
            while let Some(back) = budget.overdrawn_by(ranks(&out), trouble).first() {
                let before = out.iter().sum::<usize>();
                for (level, out) in (0..).zip(&mut out) {
                    *out -= usize::from(level == back.priority);
                }
                proptest::prop_assert_eq!(out.iter().sum::<usize>(), before - 1);
            }
            proptest::prop_assert!(out.iter().sum::<usize>() <= budget.allowed(trouble));
        }

        #[test]
        fn of_one_level_the_budget_is_that_of_the_pool(
            members in 1..40_usize,
            out in 0..40_usize,
            share in share(),
            trouble in trouble(),
        ) {
            let budget = Budget::new(ranks(&[members]), share, 1.4);
            let bears = budget.bears_one_more(rank(0), ranks(&[out]), trouble);
            proptest::prop_assert_eq!(bears, out < budget.allowed(trouble));
        }
    }
}
