//! What rules make of what they are shown, one call after the other and many at once.

use super::*;
use buttress_core::outcome::FailureKind;
use buttress_core::window::Counts;

const NOW: Instant = Instant::from_nanos(3_600_000_000_000);
const BAD: Outcome = Outcome::Failure(FailureKind::Answer);

fn ended(outcome: Outcome) -> Sample {
    Sample {
        outcome,
        age: Duration::ZERO,
        overdue: 0,
        asked: Duration::ZERO,
    }
}

fn rate(min_calls: u32, window: Window) -> Rules {
    Rules::new(vec![Rule::FailureRate {
        ratio: 0.5,
        min_calls,
        window,
    }])
}

fn record_all(rules: &mut Rules, outcomes: &[Outcome]) {
    for outcome in outcomes {
        rules.record(&ended(*outcome), NOW);
    }
}

#[test]
fn failures_in_a_row_fire_and_a_success_or_a_slow_call_breaks_the_row() {
    let mut rules = Rules::new(vec![Rule::ConsecutiveFailures(2)]);
    record_all(
        &mut rules,
        &[BAD, Outcome::Success, BAD, Outcome::Slow, BAD],
    );
    assert_eq!(rules.judge(NOW), None);
    rules.record(&ended(BAD), NOW);
    assert_eq!(rules.judge(NOW).unwrap().rule, "consecutive_failures");
}

#[test]
fn what_says_nothing_of_the_upstream_neither_counts_nor_breaks_a_row() {
    let mut rules = Rules::new(vec![Rule::ConsecutiveFailures(2)]);
    record_all(
        &mut rules,
        &[BAD, Outcome::Ignored, Outcome::Abandoned, BAD],
    );
    assert!(rules.judge(NOW).is_some());
}

#[test]
fn a_rate_fires_at_its_threshold_and_not_below_its_minimum() {
    let mut rules = rate(4, Window::Calls(10));
    record_all(&mut rules, &[BAD, BAD, Outcome::Success]);
    assert_eq!(rules.judge(NOW), None);
    rules.record(&ended(Outcome::Success), NOW);
    let fired = rules.judge(NOW).unwrap();
    assert_eq!((fired.observed, fired.samples), (0.5, 4));
}

#[test]
fn a_healthy_past_of_any_length_does_not_dull_a_rate_over_calls() {
    let mut rules = rate(10, Window::Calls(10));
    rules.succeeded(10_000, NOW);
    record_all(&mut rules, &[BAD; 4]);
    assert_eq!(rules.judge(NOW), None);
    rules.record(&ended(BAD), NOW);
    assert!(rules.judge(NOW).is_some());
}

#[test]
fn failures_that_have_left_a_window_of_time_fire_no_more() {
    let span = Duration::from_secs(10);
    let mut rules = rate(1, Window::Time(span));
    rules.record(&ended(BAD), NOW);
    assert!(rules.judge(NOW).is_some());
    assert_eq!(rules.judge(NOW.saturating_add(span)), None);
    assert_eq!(rules.judge(Instant::NEVER), None);
}

#[test]
fn successes_may_wait_unless_one_could_complete_a_minimum_with_too_many_failures() {
    for window in [Window::Calls(10), Window::Time(Duration::from_secs(10))] {
        let mut rules = rate(4, window);
        assert!(rules.is_indifferent(NOW));
        rules.record(&ended(BAD), NOW);
        assert!(rules.is_indifferent(NOW), "1 of 4 is less than half");
        rules.record(&ended(BAD), NOW);
        assert!(!rules.is_indifferent(NOW), "2 of 4 would fire");
        rules.succeeded(3, NOW);
        assert!(rules.is_indifferent(NOW));
    }
}

#[test]
fn the_first_rule_to_fire_is_named() {
    let row = Rule::ConsecutiveFailures(1);
    let share = Rule::FailureRate {
        ratio: 1.0,
        min_calls: 1,
        window: Window::Calls(1),
    };
    for (rules, name) in [
        (vec![row.clone(), share.clone()], "consecutive_failures"),
        (vec![share, row], "failure_rate"),
    ] {
        let mut rules = Rules::new(rules);
        rules.record(&ended(BAD), NOW);
        assert_eq!(rules.judge(NOW).unwrap().rule, name);
    }
}

#[test]
fn replaced_rules_take_over_the_windows_of_their_kind() {
    let mut rules = rate(4, Window::Calls(10));
    record_all(&mut rules, &[BAD, BAD, Outcome::Success]);
    let other = Rule::FailureRate {
        ratio: 0.9,
        min_calls: 1,
        window: Window::Calls(2),
    };
    let _old = rules.replaced_by(vec![Rule::ConsecutiveFailures(9), other], NOW);
    let [kept] = rules.counts(NOW)[..] else {
        panic!("one window");
    };
    assert_eq!(kept.counts, Counts { total: 2, bad: 1 });
}

#[test]
fn a_success_that_leaves_a_full_window_over_its_share_is_not_let_pass_uncounted() {
    let mut rules = rate(10, Window::Calls(10));
    record_all(&mut rules, &[Outcome::Success; 5]);
    record_all(&mut rules, &[BAD; 5]);
    assert!(rules.judge(NOW).is_some() && !rules.is_indifferent(NOW));
}

#[test]
fn a_call_that_was_left_after_too_long_is_evidence_and_one_that_was_left_early_is_none() {
    let mut rules = Rules::new(vec![Rule::SlowRate {
        slower_than: Duration::from_secs(1),
        ratio: 0.5,
        min_calls: 1,
        window: Window::Calls(10),
    }]);
    let left_after = |seconds| Sample {
        age: Duration::from_secs(seconds),
        ..ended(Outcome::Abandoned)
    };
    assert!(!rules.record(&left_after(1), NOW));
    assert!(rules.record(&left_after(2), NOW));
}

#[test]
fn cleared_rules_hold_no_evidence() {
    let span = Duration::from_secs(10);
    for window in [Window::Calls(10), Window::Time(span)] {
        let mut rules = rate(1, window);
        record_all(&mut rules, &[BAD, BAD]);
        rules.clear(NOW);
        let [kept] = rules.counts(NOW)[..] else {
            panic!("one window");
        };
        assert_eq!((kept.counts, rules.consecutive()), (Counts::default(), 0));
    }
}

#[test]
fn no_rule_takes_over_a_window_that_counts_something_else_or_is_of_another_kind() {
    let others = [
        Rule::Timeouts {
            n: 1,
            window: Window::Calls(10),
        },
        Rule::FailureRate {
            ratio: 0.5,
            min_calls: 1,
            window: Window::Time(Duration::from_secs(10)),
        },
    ];
    for other in others {
        let mut rules = rate(4, Window::Calls(10));
        record_all(&mut rules, &[BAD, BAD]);
        drop(rules.replaced_by(vec![other], NOW));
        let [kept] = rules.counts(NOW)[..] else {
            panic!("one window");
        };
        assert_eq!(kept.counts, Counts::default());
    }
}

#[test]
fn an_adaptive_rule_fires_above_its_threshold_and_not_at_it() {
    let bound = baseline::lower_bound(Counts { total: 4, bad: 3 });
    let span = Duration::from_secs(10);
    let fires = |threshold: f64| {
        let mut rules = Rules::new(vec![Rule::Adaptive {
            factor: 1.0,
            floor: threshold,
            ceiling: threshold,
            min_calls: 1,
            window: span,
            baseline: span,
        }]);
        record_all(&mut rules, &[BAD, BAD, BAD, Outcome::Success]);
        rules.judge(NOW).is_some()
    };
    assert!(!fires(bound) && fires(bound.next_down()));
}
