//! The share of the requests that all endpoints take in turn, whatever they cost, because those that are well are overrun.
//!
//! Who is thrown out or shunned leaves its share to the others. Where these cannot bear it their answers come later and later,
//! until nobody waits for them any more and they work in vain: all is lost then, where all but the share of who is ill would be
//! answered well, had it kept that. So it is given back, as much of it as relieves the others: that is lost, and no more.
//!
//! A pool that has too much to do while nobody is ill has no use for that: there is nobody to give it to. Who is ill is told
//! from who has too much to do by who was so first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Figure, Medians};
use crate::budget::{BUSY, PRESSED};

/// Of the last sixteen requests that an endpoint in the middle was asked so many were waited for in vain: it is overrun.
const IN_VAIN: f64 = 0.25;
/// Whoever is ill no later than so many seconds after answers began to come late was so before.
const BEFORE: f64 = 1.0;
/// In so many seconds the share rises from none to all while answers come late, and falls as far while they do not: it
/// stays about where they are late now and then.
const RISES_IN: f64 = 0.5;
const FALLS_IN: f64 = 10.0;
/// No more seconds than this are known to have been like the moment in which it was looked.
const MOMENT: f64 = 0.1;

/// See the module.
#[derive(Debug)]
pub(super) struct Overrun {
    share: Figure,
    /// Somebody was ill before there was too much to do.
    began_ill: AtomicBool,
    /// For how many seconds there has been.
    pressed_for: Figure,
}

impl Overrun {
    pub(super) fn new() -> Self {
        Self {
            share: Figure::new(0.0),
            began_ill: AtomicBool::new(false),
            pressed_for: Figure::new(0.0),
        }
    }

    #[inline]
    pub(super) fn share(&self) -> f64 {
        self.share.get()
    }

    /// So much later than the last time the pool shows this, and answers take so many times what they do at ease.
    pub(super) fn see(&self, medians: &Medians, slowdown: f64, passed: Duration) {
        let passed = passed.as_secs_f64();
        let pressed = slowdown > PRESSED;
        if pressed {
            self.is_pressed(medians.is_ill, passed.min(MOMENT));
        } else if slowdown < BUSY {
            self.pressed_for.set(0.0);
            self.began_ill.store(medians.is_ill, Ordering::Relaxed);
        }
        let share = self.share();
        let overrun = pressed && (share > 0.0 || medians.in_vain >= IN_VAIN);
        if overrun && self.began_ill.load(Ordering::Relaxed) {
            self.share
                .set((share + passed.min(MOMENT) / RISES_IN).min(1.0));
        } else if share > 0.0 {
            self.share.set((share - passed / FALLS_IN).max(0.0));
        }
    }

    fn is_pressed(&self, is_ill: bool, passed: f64) {
        let pressed_for = self.pressed_for.get();
        self.pressed_for.set(pressed_for + passed);
        if is_ill && pressed_for < BEFORE {
            self.began_ill.store(true, Ordering::Relaxed);
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
            after(&overrun, 5.0, &ILL, LATE) < 0.001,
            "they are waited for"
        );
        assert!((after(&overrun, 0.25, &ILL_AND_OVERRUN, LATE) - 0.5).abs() < 0.01);
        assert!((after(&overrun, 0.5, &ILL, LATE) - 1.0).abs() < 0.01);
        assert!(
            (after(&overrun, 5.0, &ILL, 3.0) - 0.5).abs() < 0.01,
            "relieved"
        );
        assert!(after(&overrun, 5.1, &ILL, 1.0) < 0.001);
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
    fn one_look_after_a_long_time_ends_it_and_does_not_begin_it() {
        let overrun = Overrun::new();
        let hour = Duration::from_secs(3_600);
        overrun.see(&ILL_AND_OVERRUN, LATE, hour);
        assert!(overrun.share() < 0.3, "{}", overrun.share());
        after(&overrun, 1.0, &ILL_AND_OVERRUN, LATE);
        overrun.see(&ILL, 1.0, hour);
        assert!(overrun.share() < 0.001);
    }
}
