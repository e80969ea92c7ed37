//! Policies of the user's own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use buttress_route::{Config, HealthRouter, Pick, Policy, View};

use super::{endpoints, pool, shares};

#[derive(Debug)]
struct Says(Option<usize>);

impl Pick for Says {
    fn pick(&self, view: &View<'_>) -> Option<usize> {
        assert!(view.key() != Some(u64::MAX), "nobody has that key");
        self.0
    }
}

#[test]
fn a_policy_of_ones_own_decides_and_one_that_knows_nobody_is_helped() {
    let custom = |index| Policy::Custom(Arc::new(Says(index)));
    assert_eq!(
        shares(&pool(custom(Some(2)), &[1; 4]), 10)["2"].round(),
        1.0
    );
    for nobody in [None, Some(7)] {
        assert_eq!(shares(&pool(custom(nobody), &[1; 4]), 1_000).len(), 4);
    }
    let out = pool(custom(Some(2)), &[1; 4]);
    out.handle().eject("2");
    let shares = shares(&out, 1_000);
    assert!(shares.len() == 3 && !shares.contains_key("2"));
}

#[test]
fn a_policy_that_panics_harms_its_own_request_alone() {
    let pool = pool(Policy::Custom(Arc::new(Says(Some(0)))), &[1; 2]);
    let unlucky = catch_unwind(AssertUnwindSafe(|| {
        pool.try_acquire_for(u64::MAX).is_some()
    }));
    assert!(unlucky.is_err());
    assert!(pool.try_acquire_for(14).is_some());
    let snapshot = pool.handle().snapshot();
    assert!(snapshot.endpoints.iter().all(|it| it.in_flight == 0));
}

#[test]
fn what_custom_policies_are_told_is_what_is_so() {
    #[derive(Debug)]
    struct Looks;
    impl Pick for Looks {
        fn pick(&self, view: &View<'_>) -> Option<usize> {
            assert_eq!((view.len(), view.open().count()), (3, 2));
            assert!((view.ejected() - 1.0 / 3.0).abs() < 1e-9);
            let candidate = view.get(0).unwrap();
            assert_eq!(candidate.metadata()["zone"].as_ref(), "a");
            assert_eq!((candidate.weight(), candidate.in_flight()), (2, 0));
            assert!(candidate.cost() > 0.0);
            // What is taken of one that has shown nothing.
            assert!((candidate.latency() - 10e6).abs() < 1e3);
            Some(0)
        }
    }
    let mut list = endpoints(&[2, 1, 1]);
    list[0] = list[0].clone().metadata("zone", "a");
    let config = Config::new("test").policy(Policy::Custom(Arc::new(Looks)));
    let pool = HealthRouter::new(config, list).unwrap();
    pool.handle().eject("2");
    assert_eq!(pool.try_acquire().unwrap().id().as_ref(), "0");
}
