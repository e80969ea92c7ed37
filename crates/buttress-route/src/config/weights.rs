//! How much a failure of each kind says.

use buttress_core::config::{ConfigError, require};
use buttress_core::outcome::FailureKind;

/// The largest weight.
const HEAVIEST: u32 = 100;

/// How many failures in a row one of each kind counts for: 0 to 100, default 1 of each.
///
/// A refused connection says more of an endpoint than one answer of 500, and a body that broke may say more of the way to
/// the client: whoever knows that of their endpoints says so here. What weighs 0 is seen by no rule and throws nobody
/// out; of the endpoint's cost it is a failure all the same, and requests go where fewer are. A probe that fails has
/// failed whatever that weighs: who is out stays out until a probe shows that all is well, or each request would be
/// the next probe.
///
/// ```
/// use buttress_route::{Rules, Weights};
///
/// // Out after three refused connections, or five other failures, in a row.
/// let rules = Rules::default().weights(Weights::default().connect(2));
/// # assert_eq!(rules.weights.connect, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Weights {
    /// Of a connection that was not made, or a stream that was refused.
    pub connect: u32,
    /// Of a connection that broke before the head of the response.
    pub transport: u32,
    /// Of a deadline that passed.
    pub deadline: u32,
    /// Of an answer that is a failure.
    pub answer: u32,
    /// Of an answer that says that there is too much to do.
    pub overloaded: u32,
    /// Of a body that broke.
    pub body: u32,
    /// Of a panic.
    pub panic: u32,
}

impl Weights {
    /// The same weight for each kind.
    pub const fn all(weight: u32) -> Self {
        Self {
            connect: weight,
            transport: weight,
            deadline: weight,
            answer: weight,
            overloaded: weight,
            body: weight,
            panic: weight,
        }
    }

    /// Of a connection that was not made, or a stream that was refused.
    #[must_use]
    pub const fn connect(mut self, weight: u32) -> Self {
        self.connect = weight;
        self
    }

    /// Of a connection that broke before the head of the response.
    #[must_use]
    pub const fn transport(mut self, weight: u32) -> Self {
        self.transport = weight;
        self
    }

    /// Of a deadline that passed.
    #[must_use]
    pub const fn deadline(mut self, weight: u32) -> Self {
        self.deadline = weight;
        self
    }

    /// Of an answer that is a failure.
    #[must_use]
    pub const fn answer(mut self, weight: u32) -> Self {
        self.answer = weight;
        self
    }

    /// Of an answer that says that there is too much to do.
    #[must_use]
    pub const fn overloaded(mut self, weight: u32) -> Self {
        self.overloaded = weight;
        self
    }

    /// Of a body that broke.
    #[must_use]
    pub const fn body(mut self, weight: u32) -> Self {
        self.body = weight;
        self
    }

    /// Of a panic.
    #[must_use]
    pub const fn panic(mut self, weight: u32) -> Self {
        self.panic = weight;
        self
    }

    /// That of a failure of this kind.
    pub(crate) const fn of(&self, kind: FailureKind) -> u32 {
        match kind {
            FailureKind::Connect => self.connect,
            FailureKind::Transport => self.transport,
            FailureKind::Deadline => self.deadline,
            FailureKind::Overloaded => self.overloaded,
            FailureKind::Body => self.body,
            FailureKind::Panic => self.panic,
            _ => self.answer,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let each = [
            ("rules.weights.connect", self.connect),
            ("rules.weights.transport", self.transport),
            ("rules.weights.deadline", self.deadline),
            ("rules.weights.answer", self.answer),
            ("rules.weights.overloaded", self.overloaded),
            ("rules.weights.body", self.body),
            ("rules.weights.panic", self.panic),
        ];
        each.into_iter().try_for_each(|(field, weight)| {
            require(weight <= HEAVIEST, field, || {
                format!("{weight} is out of range; use 0 to {HEAVIEST}")
            })
        })
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self::all(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_kind_is_said_of_that_one_alone() {
        type Of = fn(Weights, u32) -> Weights;
        let each: [(FailureKind, Of); 7] = [
            (FailureKind::Connect, Weights::connect),
            (FailureKind::Transport, Weights::transport),
            (FailureKind::Deadline, Weights::deadline),
            (FailureKind::Answer, Weights::answer),
            (FailureKind::Overloaded, Weights::overloaded),
            (FailureKind::Body, Weights::body),
            (FailureKind::Panic, Weights::panic),
        ];
        for (said, set) in each {
            let weights = set(Weights::default(), 7);
            for (kind, _) in each {
                let expected = if kind == said { 7 } else { 1 };
                assert_eq!(
                    weights.of(kind),
                    expected,
                    "{kind:?} where {said:?} is said"
                );
            }
            assert!(weights.validate().is_ok());
            let wrong = set(Weights::default(), HEAVIEST + 1).validate();
            let field = wrong.unwrap_err().field().to_lowercase();
            assert_eq!(field, format!("rules.weights.{said:?}").to_lowercase());
        }
    }
}
