//! The share of the requests that all endpoints take in turn, whatever they cost, because those that are well are overrun.
//!
//! Who is thrown out or shunned leaves its share to the others. Where these cannot bear it their answers come later and later,
//! until nobody waits for them any more and they work in vain: all is lost then, where all but the share of who is ill would be
//! answered well, had it kept that. So it is given back, as much of it as relieves the others: that is lost, and no more.
//!
//! Where nobody is ill there is nobody to give it to. Whoever has become dear only since answers come late is no worse than
//! the others: it was asked more. And where all answers are late for another reason, such as what
//! all endpoints need, it relieves nobody. That shows within seconds, and is then not tried again for minutes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Figure, Medians};
use crate::budget::{BUSY, PRESSED};

/// Of the last sixteen requests that an endpoint in the middle was asked so many were waited for in vain: it is overrun.
const IN_VAIN: f64 = 0.25;
/// For so many seconds answers have to have come late before: what was stopped for a moment is not overrun.
const LASTS: f64 = 0.5;
/// Whoever is ill no later than so many seconds after answers began to come late was so before.
const BEFORE: f64 = 1.0;
/// After so many seconds in which nobody was ill it matters no more who was.
const WELL_FOR: f64 = 5.0;
/// In so many seconds the share rises from none to all while answers come late, and falls as far while they do not: it
/// stays about where they are late now and then.
const RISES_IN: f64 = 2.0;
const FALLS_IN: f64 = 5.0;
/// For so many seconds all requests are taken in turn before that has to have relieved the others: answers take less than
/// this part of the longest that they took since it began.
const TRIAL: f64 = 8.0;
const RELIEVED: f64 = 0.7;
/// So many seconds it is not tried again after it has relieved nobody, and twice as many each time, up to this.
const FUTILE_FOR: f64 = 120.0;
const FUTILE_FOR_AT_MOST: f64 = 3_600.0;
/// No more seconds than this are known to have been like the moment in which it was looked.
const MOMENT: f64 = 0.1;
/// Whatever was more than so many seconds ago says nothing of now.
pub(super) const LONG_AGO: f64 = 1.0;

/// See the module.
#[derive(Debug)]
pub(super) struct Overrun {
    /// For picks to read.
    share: Figure,
    /// Whoever looks at the pool has it, mostly once a millisecond.
    course: Mutex<Course>,
}

/// How it came to this share. Times in seconds.
#[derive(Debug, Default)]
struct Course {
    share: f64,
    /// Somebody was ill before there was too much to do.
    began_ill: bool,
    /// For how long there has been.
    pressed_for: f64,
    /// For how long nobody was ill.
    well_for: f64,
    /// For how long all requests have been taken in turn.
    tried_for: f64,
    /// How many times as long as at ease answers took at most since it began.
    worst: f64,
    /// For how long it is not tried, and for how long it was not the last time.
    futile: f64,
    last_futile: f64,
}

impl Overrun {
    pub(super) fn new() -> Self {
        Self {
            share: Figure::new(0.0),
            course: Mutex::default(),
        }
    }

    #[inline]
    pub(super) fn share(&self) -> f64 {
        self.share.get()
    }

    /// So much later than the last time the pool shows this, and answers take so many times what they do at ease.
    pub(super) fn see(&self, medians: &Medians, slowdown: f64, passed: Duration) {
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        course.see(medians, slowdown, passed.as_secs_f64());
        self.share.set(course.share);
    }
}

impl Course {
    fn see(&mut self, medians: &Medians, slowdown: f64, passed: f64) {
        self.futile = (self.futile - passed).max(0.0);
        if passed > LONG_AGO {
            (self.share, self.pressed_for) = (0.0, 0.0);
        }
        let moment = passed.min(MOMENT);
        let pressed = slowdown > PRESSED;
        self.heed_illness(medians.is_ill, pressed, slowdown, moment);
        let begins = medians.in_vain >= IN_VAIN && self.pressed_for >= LASTS;
        let overrun = pressed && (self.share > 0.0 || begins);
        if overrun && self.began_ill && self.futile <= 0.0 {
            self.rise(slowdown, moment);
        } else {
            self.fall(passed);
        }
    }

    fn heed_illness(&mut self, is_ill: bool, pressed: bool, slowdown: f64, moment: f64) {
        // Where the others fail as well, and it is given its turns, whoever is ill is like them.
        let is_ill_still = is_ill || self.share > 0.0;
        self.well_for = if is_ill_still {
            0.0
        } else {
            self.well_for + moment
        };
        if slowdown < BUSY {
            self.pressed_for = 0.0;
            self.began_ill = is_ill;
        } else if pressed {
            self.began_ill |= is_ill && self.pressed_for < BEFORE;
            self.pressed_for += moment;
        }
        self.began_ill &= self.well_for < WELL_FOR;
    }

    fn rise(&mut self, slowdown: f64, moment: f64) {
        if self.share <= 0.0 {
            self.worst = 0.0;
        }
        self.worst = self.worst.max(slowdown);
        self.share = (self.share + moment / RISES_IN).min(1.0);
        self.tried_for = if self.share < 1.0 {
            0.0
        } else {
            self.tried_for + moment
        };
        if self.tried_for < TRIAL {
            return;
        }
        if slowdown > RELIEVED * self.worst {
            let twice = 2.0 * self.last_futile;
            self.last_futile = twice.clamp(FUTILE_FOR, FUTILE_FOR_AT_MOST);
            (self.share, self.futile) = (0.0, self.last_futile);
        }
        (self.tried_for, self.worst) = (0.0, slowdown);
    }

    fn fall(&mut self, passed: f64) {
        self.tried_for = 0.0;
        self.share = (self.share - passed / FALLS_IN).max(0.0);
        if self.futile <= 0.0 && self.share <= 0.0 && self.pressed_for <= 0.0 {
            self.last_futile = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: f64 = 2.0 * PRESSED;
    const WELL: Medians = medians(false, 0.0);
    const ILL: Medians = medians(true, 0.0);
    const ILL_AND_OVERRUN: Medians = medians(true, 0.5);

    const fn medians(is_ill: bool, in_vain: f64) -> Medians {
        Medians {
            latency: None,
            slowdown: None,
            in_vain,
            is_ill,
            failing: 0.0,
            failing_now: 0.0,
            chance_run: 1.0,
            slow: 0.0,
            late_run: 1.0,
            load: 0.0,
            utilization: None,
        }
    }

    /// The share after so many seconds like that.
    fn after(overrun: &Overrun, seconds: f64, medians: &Medians, slowdown: f64) -> f64 {
        let moment = Duration::from_millis(1);
        let moments = (seconds / moment.as_secs_f64()).round();
        let mut passed = 0.0;
        while passed < moments {
            overrun.see(medians, slowdown, moment);
            passed += 1.0;
        }
        overrun.share()
    }

    #[test]
    fn where_somebody_was_ill_before_the_others_were_overrun_all_take_their_turns() {
        let overrun = Overrun::new();
        assert!(after(&overrun, 5.0, &WELL, 1.0) < 0.001);
        assert!(after(&overrun, 5.0, &ILL, 1.0) < 0.001);
        assert!(
            after(&overrun, 3.0, &ILL, LATE) < 0.001,
            "they are waited for"
        );
        assert!((after(&overrun, 1.0, &ILL_AND_OVERRUN, LATE) - 0.5).abs() < 0.01);
        assert!((after(&overrun, 1.0, &ILL, LATE) - 1.0).abs() < 0.01);
        assert!(
            (after(&overrun, 2.5, &ILL, 3.0) - 0.5).abs() < 0.01,
            "relieved"
        );
        assert!(after(&overrun, 2.6, &ILL, 1.0) < 0.001);
    }

    #[test]
    fn whoever_is_ill_since_there_was_too_much_to_do_is_so_for_that() {
        for (before, takes_turns) in [(0.5, true), (1.5, false)] {
            let overrun = Overrun::new();
            after(&overrun, before, &WELL, LATE);
            let share = after(&overrun, 5.0, &ILL_AND_OVERRUN, LATE);
            assert_eq!(share > 0.9, takes_turns, "{before} s");
        }
    }

    #[test]
    fn who_was_ill_another_time_was_not_before_this_one() {
        let overrun = Overrun::new();
        after(&overrun, 1.0, &ILL_AND_OVERRUN, LATE);
        after(&overrun, 20.0, &WELL, 1.0);
        after(&overrun, 2.0, &WELL, LATE);
        assert!(after(&overrun, 5.0, &ILL_AND_OVERRUN, LATE) < 0.001);
    }

    #[test]
    fn who_was_stopped_for_a_moment_is_not_overrun() {
        let overrun = Overrun::new();
        after(&overrun, 5.0, &ILL, 1.0);
        assert!(after(&overrun, 0.4, &ILL_AND_OVERRUN, LATE) < 0.001);
    }

    #[test]
    fn what_relieves_nobody_ends_and_is_not_tried_again_for_minutes_and_then_for_twice_as_long() {
        let overrun = Overrun::new();
        // The rise to all, and the trial.
        let trial = RISES_IN + TRIAL + 0.1;
        assert!(after(&overrun, LASTS + trial, &ILL_AND_OVERRUN, LATE) < 0.001);
        assert!(after(&overrun, FUTILE_FOR - 1.0, &ILL_AND_OVERRUN, LATE) < 0.001);
        assert!(after(&overrun, RISES_IN + 1.0, &ILL_AND_OVERRUN, LATE) > 0.9);
        after(&overrun, TRIAL, &ILL_AND_OVERRUN, LATE);
        assert!(after(&overrun, 1.9 * FUTILE_FOR, &ILL_AND_OVERRUN, LATE) < 0.001);
    }

    #[test]
    fn what_relieves_them_somewhat_goes_on() {
        let overrun = Overrun::new();
        after(&overrun, LASTS + RISES_IN + 1.0, &ILL_AND_OVERRUN, LATE);
        assert!(after(&overrun, TRIAL + 1.0, &ILL_AND_OVERRUN, 0.6 * LATE) > 0.9);
    }

    #[test]
    fn who_was_ill_is_forgotten_where_nobody_has_been_for_seconds() {
        let overrun = Overrun::new();
        after(&overrun, 1.0, &ILL, LATE);
        after(&overrun, WELL_FOR + 0.1, &WELL, LATE);
        assert!(after(&overrun, 5.0, &medians(false, 0.5), LATE) < 0.001);
    }

    #[test]
    fn one_look_after_a_long_time_ends_it_and_does_not_begin_it() {
        let overrun = Overrun::new();
        let hour = Duration::from_secs(3_600);
        overrun.see(&ILL_AND_OVERRUN, LATE, hour);
        assert!(overrun.share() < 0.001, "{}", overrun.share());
        assert!(after(&overrun, 5.0, &ILL_AND_OVERRUN, LATE) > 0.9);
        overrun.see(&ILL_AND_OVERRUN, LATE, hour);
        assert!(overrun.share() < 0.1, "{}", overrun.share());
    }
}
