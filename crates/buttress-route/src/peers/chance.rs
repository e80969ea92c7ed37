//! How many failures in a row, or late answers, are more than chance.

use super::{SAMPLE, Shows};

/// Failures in a row that are more than chance in a pool of which nothing is known. With fewer the rules would not see
/// what they wait for.
pub(super) const FEWEST: f64 = 5.0;
/// At most two in five are held for bad by themselves.
const PARTS: usize = 5;
const BAD_PARTS: usize = 2;
/// More than so many deviations, and so many more, above what chance makes of an endpoint's calls is no chance.
const DEVIATIONS: f64 = 3.0;
const AT_LEAST: f64 = 1.0;

/// So many in a row as an endpoint that fails this share has once in a million calls.
pub(super) fn unlikely_run(failing: f64) -> f64 {
    const UNLIKELY: f64 = 1e-6;
    if failing <= 0.0 {
        return 0.0;
    }
    // At a share of 1 every run is likely, and the limit infinite.
    (UNLIKELY.ln() / failing.min(1.0).ln()).abs().ceil()
}

/// So many in a row that chance gives an endpoint of `all` no more often than `lost`, of what makes up this `share` of so many
/// calls of each.
///
/// A run of `k` comes once in `share^-k` calls, where the share is that of those who are no worse than chance.
pub(super) fn chance_run(all: &[Shows], lost: f64, share: impl Fn(&Shows) -> (f64, f64)) -> f64 {
    let calls: f64 = all.iter().map(|it| share(it).1).sum();
    if calls < 1.0 {
        return FEWEST;
    }
    let mut room = [Counted::default(); SAMPLE];
    let share = by_chance(worst_first(&mut room, all, share)).min(1.0);
    let bearable = (lost * all.len() as f64 / calls).min(1.0);
    // At a share of 1 every run is likely, and the limit infinite.
    (bearable.ln() / share.ln()).abs().max(1.0).ceil()
}

/// How many of an endpoint's calls were such.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    count: f64,
    calls: f64,
}

impl Counted {
    /// The share, with half a call more, for nothing is known to never happen (the mean by Jeffreys' prior).
    fn share(self) -> f64 {
        (self.count + 0.5) / (self.calls + 1.0)
    }

    fn less(self, other: Self) -> Self {
        Self {
            count: self.count - other.count,
            calls: self.calls - other.calls,
        }
    }

    /// Whether it is no chance, where that makes it this `share`.
    fn is_beyond(self, share: f64) -> bool {
        let expected = share * self.calls;
        self.count > expected + DEVIATIONS * expected.sqrt() + AT_LEAST
    }
}

fn worst_first<'a>(
    room: &'a mut [Counted; SAMPLE],
    all: &[Shows],
    share: impl Fn(&Shows) -> (f64, f64),
) -> &'a [Counted] {
    for (place, (share, calls)) in room.iter_mut().zip(all.iter().map(share)) {
        let count = share * calls;
        *place = Counted { count, calls };
    }
    let counted = room.get_mut(..all.len()).unwrap_or_default();
    counted.sort_unstable_by(|one, other| other.count.total_cmp(&one.count));
    counted
}

/// The share of those who are no worse than chance: without the worst, who is not its own peer, and without all up to the last
/// who is beyond what chance makes of those behind it, two in five at most. From the outside in several that are as bad would
/// hide each other (Rosner, Technometrics 1983).
fn by_chance(worst_first: &[Counted]) -> f64 {
    let all = worst_first
        .iter()
        .fold(Counted::default(), |sum, it| Counted {
            count: sum.count + it.count,
            calls: sum.calls + it.calls,
        });
    let most = (worst_first.len() * BAD_PARTS / PARTS).max(1);
    let mut rest = all;
    let mut share = None;
    for worst in worst_first.iter().take(most) {
        rest = rest.less(*worst);
        if share.is_none() || worst.is_beyond(rest.share()) {
            share = Some(rest.share());
        }
    }
    share.unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::{LOST, Medians};
    use super::*;

    #[test]
    fn the_more_all_fail_the_longer_a_run_has_to_be() {
        for (failing, run) in [
            (0.0, 0.0),
            (0.01, 3.0),
            (0.1, 6.0),
            (0.5, 20.0),
            (0.9, 132.0),
        ] {
            assert!((unlikely_run(failing) - run).abs() < 0.5, "{failing}");
        }
        assert!(unlikely_run(1.0).is_infinite());
    }

    #[test]
    fn the_more_others_fail_the_more_failures_in_a_row_are_chance() {
        // Ten endpoints of so many calls, and what the others of one that fails have failed of them.
        let run = |calls: f64, failed: f64| {
            let mut all = [Shows {
                failing: (failed / 9.0 / calls, calls),
                ..Shows::default()
            }; 10];
            all[0].failing = (1.0, calls);
            chance_run(&all, LOST, |it| it.failing)
        };
        assert!(run(600.0, 0.0) <= 1.0, "nobody else has failed");
        assert!((run(600.0, 5.4) - 2.0).abs() < 0.1, "one in a thousand");
        assert!((run(600.0, 540.0) - 4.0).abs() < 0.1, "one in ten");
        assert!(run(600.0, 5_400.0) > 1e3, "all of them");
        assert!(run(30.0, 0.0) <= 1.0, "of few calls as well");
        assert!((chance_run(&[Shows::default(); 10], LOST, |it| it.failing) - FEWEST).abs() < 0.1);
    }

    #[test]
    fn where_one_answer_in_a_hundred_is_much_later_two_in_a_row_are_more_than_chance() {
        let run = |share: f64| {
            let late = (share, 600.0);
            let shows = Shows {
                late,
                ..Shows::default()
            };
            Medians::of(&[shows; 10]).late_run
        };
        assert!((run(0.01) - 2.0).abs() < 0.1);
        assert!(run(0.0) <= 1.0, "nobody has such");
    }

    /// Of ten endpoints with 600 calls each, of which the first have failed so many.
    fn run_beside(failed: &[f64]) -> f64 {
        let mut all = [Shows {
            failing: (0.0, 600.0),
            ..Shows::default()
        }; 10];
        for (shows, failed) in all.iter_mut().zip(failed) {
            shows.failing = (failed / 600.0, 600.0);
        }
        chance_run(&all, LOST, |it| it.failing)
    }

    #[test]
    fn what_two_in_five_fail_is_no_chance_however_alike_they_are() {
        for bad in [5.0, 60.0, 600.0] {
            assert!(run_beside(&[bad; 4]) <= 1.0, "{bad}");
            assert!(run_beside(&[bad; 5]) > 1.0, "{bad}: half of the pool");
        }
        assert!(run_beside(&[600.0, 60.0, 12.0, 6.0]) <= 1.0);
    }

    #[test]
    fn whoever_fails_no_more_than_chance_makes_it_is_counted_however_few_fail() {
        let seldom = [60.0, 2.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 2.0];
        assert!(run_beside(&seldom) > 1.0);
        let often = [80.0, 75.0, 70.0, 65.0, 60.0, 60.0, 55.0, 50.0, 50.0, 45.0];
        assert!((run_beside(&often) - 4.0).abs() < 0.1);
    }
}
