//! How a demo upstream behaves, by the time since it began and the number of the request.

use std::time::Duration;

/// After this the behaviour repeats.
pub const CYCLE: Duration = Duration::from_secs(24);

/// What an upstream is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Character {
    /// Always well.
    Steady,
    /// Slow for a third of each cycle.
    TurnsSlow,
    /// Fails most requests for a third of each cycle, another one.
    TurnsFlaky,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conduct {
    pub(super) delay: Duration,
    pub(super) fails: bool,
}

impl Character {
    /// One of each.
    pub const ALL: [Self; 3] = [Self::Steady, Self::TurnsSlow, Self::TurnsFlaky];

    /// The name that answers carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::TurnsSlow => "turns-slow",
            Self::TurnsFlaky => "turns-flaky",
        }
    }

    /// What becomes of the `number`th request, `elapsed` after the start.
    pub(super) fn conduct(self, elapsed: Duration, number: u64) -> Conduct {
        // Times vary a little, so that percentiles differ.
        let usual = Duration::from_micros(2_000 + (number % 8) * 500);
        let well = Conduct {
            delay: usual,
            fails: false,
        };
        match (self, third(elapsed)) {
            (Self::TurnsSlow, 1) => Conduct {
                delay: usual + Duration::from_millis(300),
                ..well
            },
            (Self::TurnsFlaky, 2) => Conduct {
                fails: !number.is_multiple_of(10),
                ..well
            },
            _ => well,
        }
    }
}

/// The third of the cycle that a moment falls in: 0, 1 or 2.
fn third(elapsed: Duration) -> u128 {
    let within = elapsed.as_millis() % CYCLE.as_millis();
    within * 3 / CYCLE.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(character: Character, second: u64) -> Conduct {
        character.conduct(Duration::from_secs(second), 1)
    }

    #[test]
    fn each_cycle_begins_well_and_the_troubles_take_turns() {
        for cycle in [0, 24, 240] {
            for character in Character::ALL {
                assert!(!at(character, cycle + 1).fails);
                assert!(at(character, cycle + 1).delay < Duration::from_millis(10));
            }
            assert!(at(Character::TurnsSlow, cycle + 9).delay > Duration::from_millis(100));
            assert!(!at(Character::TurnsFlaky, cycle + 9).fails);
            assert!(at(Character::TurnsFlaky, cycle + 17).fails);
            assert!(at(Character::TurnsSlow, cycle + 17).delay < Duration::from_millis(10));
        }
    }

    #[test]
    fn the_steady_one_never_changes() {
        assert!((0..100).all(|second| at(Character::Steady, second) == at(Character::Steady, 0)));
    }
}
