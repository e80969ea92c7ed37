//! What the metrics of breakers by key are named and count.

use super::*;

#[test]
fn the_metrics_have_no_more_series_than_asked_for_and_lose_no_call() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 100);
    (0..50).for_each(|key| end(&breakers.get(key), Outcome::Success));
    // Two keys, the overflow breaker, and all others together.
    assert_eq!(
        family(&breakers, "buttress_breaker_calls").points.len(),
        4 * 5
    );
    assert_eq!(family(&breakers, "buttress_breaker_state").points.len(), 3);
    assert_eq!(sum(&family(&breakers, "buttress_breaker_calls")), 50);
    let closed = &family(&breakers, "buttress_breaker_keys").points[0];
    assert_eq!(closed.value, Value::Gauge(50.0));
    time.advance(IDLE);
    breakers.handle().sweep();
    assert!(breakers.handle().is_empty());
    assert_eq!(sum(&family(&breakers, "buttress_breaker_calls")), 50);
}

#[test]
fn a_transition_is_counted_whoevers_it_is_and_after_its_breaker_has_gone() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 100);
    (0..4).for_each(|key| trip(&breakers, key));
    let opened = || {
        let family = family(&breakers, "buttress_breaker_transitions");
        let points = family.points.iter();
        let opened = points.filter(|point| point.labels.contains(&("to", "open".into())));
        let counts = opened.map(|point| match point.value {
            Value::Counter(count) => count,
            _ => 0,
        });
        let mut counts: Vec<_> = counts.collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(opened(), [1, 1, 2], "two keys, and two as others");
    breakers.handle().release();
    breakers.handle().sweep();
    time.advance(IDLE);
    breakers.handle().sweep();
    assert!(breakers.handle().is_empty());
    assert_eq!(opened(), [4]);
}

/// A key that reads as others do.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Named(u32, String);

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(&[
        "",
        "other",
        "overflow",
        "/other",
        ":overflow",
        "shared",
        "a\"b",
        "…",
        "x",
    ]);
    prop_oneof![
        4 => word.prop_map(str::to_owned),
        2 => (120_usize..140, "[a-c]{0,2}").prop_map(|(n, end)| "k".repeat(n) + &end),
        1 => (130_usize..140).prop_map(|n| {
            let long = KeyedBreaker::<String>::new("p", KeyedConfig::default()).unwrap();
            long.get("k".repeat(n)).name()[2..].to_owned()
        }),
        1 => "\\PC{0,8}",
    ]
}

proptest! {
    #[test]
    fn no_key_passes_for_another_series(keys in proptest::collection::vec((0..2_u32, hostile()), 1..30)) {
        let config = KeyedConfig::default().limits(Limits::default().cap(20)).series(10);
        let breakers = KeyedBreaker::<Named>::new("egress", config).unwrap();
        for (of, text) in keys {
            let breaker = breakers.get(Named(of, text));
            breaker.handle().force_open();
            assert!(breaker.try_acquire().is_err());
        }
        let mut families = Vec::new();
        breakers.handle().collect(&mut families);
        for family in families {
            let labels = family.points.iter().map(|point| {
                // An empty label is none.
                let set = point.labels.iter().filter(|(_, value)| !value.is_empty());
                let mut set: Vec<_> = set.cloned().collect();
                set.sort_unstable();
                set
            });
            let mut labels: Vec<_> = labels.collect();
            labels.sort_unstable();
            let points = labels.len();
            labels.dedup();
            prop_assert_eq!(labels.len(), points, "{}", family.name);
        }
    }
}

#[test]
fn keys_that_differ_after_the_first_line_of_text_have_names_of_their_own() {
    let breakers = KeyedBreaker::<String>::new("paths", KeyedConfig::default()).unwrap();
    let name = |end: &str| breakers.get("k".repeat(200) + end).name().to_string();
    assert_ne!(name("a"), name("b"));
    assert_eq!(name("a"), name("a"));
    assert_ne!(
        &**breakers.get("overflow".into()).name(),
        &**breakers.handle().overflow().name()
    );
}

#[test]
fn a_name_holds_no_more_of_a_key_than_a_line_of_text() {
    let breakers = KeyedBreaker::<String>::new("paths", KeyedConfig::default()).unwrap();
    let name = breakers.get("ä".repeat(10_000)).name().to_string();
    assert!(name.starts_with("paths/ä") && name.contains('…'), "{name}");
    assert!(name.len() < 160);
}
