//! A verdict in a sentence, for whoever sees one for the first time.

use buttress::core::verdict::{Action, Verdict};

/// What was decided about an endpoint, or about something else that is called `name`, and why. What there is no sentence
/// for is told as logs tell it.
pub(super) fn sentence(name: &str, is_endpoint: bool, verdict: &Verdict) -> String {
    match (done(is_endpoint, &verdict.action), why(verdict)) {
        (Some(done), Some(why)) => format!("{name} {done}: {why}"),
        _ => format!("{name}: {verdict}"),
    }
}

fn done(is_endpoint: bool, action: &Action) -> Option<String> {
    Some(match action {
        Action::Opened(wait) => {
            let out = if is_endpoint { "out" } else { "open" };
            format!("is {out} for {:.1} s", wait.as_secs_f64())
        }
        Action::Probing => "is tried again".to_owned(),
        Action::Ramping => "comes back step by step".to_owned(),
        Action::Closed => "is back".to_owned(),
        Action::Shunned => "is given next to nothing".to_owned(),
        Action::Resumed => "has its share again".to_owned(),
        Action::Suppressed(why) if why == "peers_fail" => "stays, for others fail too".to_owned(),
        Action::Suppressed(why) if why == "still_answers" => "is given less".to_owned(),
        _ => return None,
    })
}

fn why(verdict: &Verdict) -> Option<String> {
    let opened = matches!(verdict.action, Action::Opened(_));
    if verdict.action == Action::Resumed {
        return Some("others answer no sooner".to_owned());
    }
    Some(match &*verdict.rule {
        "consecutive_failures" => format!("it failed {} times in a row", verdict.samples),
        "doubted" => format!("the last {} failed", verdict.samples),
        "slow" if verdict.action == Action::Shunned => {
            format!("it takes {:.0} ms", verdict.observed * 1e3)
        }
        "silent" => format!("it has not answered for {:.1} s", verdict.observed),
        "limited" => format!(
            "{:.0}% of {} calls were refused",
            verdict.observed * 100.0,
            verdict.samples
        ),
        "failure_rate" | "outlier" | "failing" => format!(
            "{:.0}% of {} calls failed",
            verdict.observed * 100.0,
            verdict.samples
        ),
        "slow" => format!(
            "{:.0}% of {} answers or more took far longer than its peers'",
            verdict.observed * 100.0,
            verdict.samples
        ),
        "slow_rate" => format!(
            "{:.0}% of {} calls were slow",
            verdict.observed * 100.0,
            verdict.samples
        ),
        "worst_first" => "one that is worse is out in its place".to_owned(),
        "probe" if opened => "it failed a probe".to_owned(),
        "probe" => format!("it answered {} probes well", verdict.samples),
        "open_time" | "open_time_over" => "its wait is over".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_verdict_is_a_sentence_and_one_that_is_not_known_is_told_as_logs_tell_it() {
        let out = || Action::Opened(Duration::from_millis(1_234));
        let of = |verdict: Verdict| sentence("it", true, &verdict);
        let row = Verdict::new("consecutive_failures", out()).evidence(5.0, 5.0, 5);
        assert_eq!(of(row), "it is out for 1.2 s: it failed 5 times in a row");
        let open = Verdict::new("slow_rate", out()).evidence(0.5, 0.5, 20);
        assert_eq!(
            sentence("breaker b", false, &open),
            "breaker b is open for 1.2 s: 50% of 20 calls were slow"
        );
        let slow = Verdict::new("slow", out()).evidence(0.62, 0.5, 40);
        assert_eq!(
            of(slow),
            "it is out for 1.2 s: 62% of 40 answers or more took far longer than its peers'"
        );
        let rate = Verdict::new("failure_rate", out()).evidence(0.62, 0.5, 40);
        assert_eq!(of(rate), "it is out for 1.2 s: 62% of 40 calls failed");
        let probes = Verdict::new("probe", Action::Closed).evidence(20.0, 20.0, 20);
        assert_eq!(of(probes), "it is back: it answered 20 probes well");
        let worse = Verdict::new("worst_first", Action::Closed).evidence(0.25, 1.0, 1);
        assert_eq!(
            of(worse),
            "it is back: one that is worse is out in its place"
        );
        let over = Verdict::new("open_time_over", Action::Probing);
        assert_eq!(of(over), "it is tried again: its wait is over");
        let slow = Verdict::new("slow", Action::Shunned).evidence(0.083, 0.025, 9);
        assert_eq!(of(slow), "it is given next to nothing: it takes 83 ms");
        let silent = Verdict::new("silent", Action::Shunned).evidence(1.674, 0.026, 2);
        assert_eq!(
            of(silent),
            "it is given next to nothing: it has not answered for 1.7 s"
        );
        let limited = Verdict::new("limited", Action::Shunned).evidence(0.085, 0.083, 487);
        assert_eq!(
            of(limited),
            "it is given next to nothing: 8% of 487 calls were refused"
        );
        let resumed = Verdict::new("slow", Action::Resumed).evidence(0.011, 0.025, 130);
        assert_eq!(
            of(resumed),
            "it has its share again: others answer no sooner"
        );
        let hand = Verdict::new("by_hand", Action::Forced);
        assert_eq!(of(hand), "it: set by hand");
        let other = Verdict::new("capacity", Action::Closed);
        assert_eq!(of(other), "it: closed: capacity");
    }
}
