//! The circuit does what a naive model of it does, whatever happens to it in whatever order, and no
//! order of events keeps traffic away for ever.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

use buttress_core::circuit::{Settled, State};
use proptest::prelude::*;

#[path = "circuit_model/model.rs"]
mod model;
#[path = "circuit_model/ops.rs"]
mod ops;
#[path = "circuit_model/pair.rs"]
mod pair;

use model::Given;
use ops::{op, outcome, settings, state};
use pair::Pair;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn the_circuit_does_what_its_model_does_and_never_wedges(
        settings in settings(),
        start in state(),
        seed: u64,
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let mut pair = Pair::new(settings, start, seed);
        for op in ops {
            pair.apply(op);
        }
    }

    #[test]
    fn an_outcome_of_an_earlier_generation_changes_nothing(
        settings in settings(),
        seed: u64,
        ops in proptest::collection::vec(op(), 1..60),
        outcome in outcome(),
    ) {
        let mut pair = Pair::new(settings, State::Closed, seed);
        for op in ops {
            pair.apply(op);
        }
        let before = format!("{:?}", pair.circuit);
        let old = |given: &&Given| given.generation != pair.model.generation;
        for given in pair.model.tickets.iter().filter(old) {
            let settled = pair.circuit.settle(&given.ticket, outcome, None, pair.now, &pair.rng);
            prop_assert_eq!(settled, Settled::Stale);
        }
        prop_assert_eq!(format!("{:?}", pair.circuit), before);
    }
}
