//! What a point that is no histogram shows, the same in every form.

use buttress_core::metric::{Kind, Value};

/// One number of a point.
pub(crate) struct Sample {
    /// Of a state set: the label that names the state, and the state.
    pub(crate) state: Option<(&'static str, &'static str)>,
    pub(crate) number: Number,
}

#[derive(Clone, Copy)]
pub(crate) enum Number {
    Integer(u64),
    Real(f64),
}

/// One number for a point, of a state set one for each state; none for a histogram, or a point of another
/// kind than its family's.
pub(crate) fn samples(kind: Kind, value: &Value) -> Vec<Sample> {
    let one = |number| {
        vec![Sample {
            state: None,
            number,
        }]
    };
    match (kind, value) {
        (Kind::Counter, Value::Counter(count)) => one(Number::Integer(*count)),
        (Kind::Counter, Value::Time(time)) => one(Number::Real(time.as_secs_f64())),
        (Kind::Gauge | Kind::UpDown, Value::Gauge(value)) => one(Number::Real(*value)),
        (
            Kind::StateSet,
            Value::State {
                label,
                states,
                current,
            },
        ) => {
            let of_state = |(index, state): (usize, &&'static str)| Sample {
                state: Some((*label, *state)),
                number: Number::Integer(u64::from(index == *current)),
            };
            states.iter().enumerate().map(of_state).collect()
        }
        _ => Vec::new(),
    }
}
