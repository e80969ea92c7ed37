//! What a breaker leaves behind for the process after it.
#![expect(
    clippy::disallowed_types,
    reason = "two processes share no other clock; it is passed in, and bounded by what is harmless"
)]

use std::time::{Duration, SystemTime};

use buttress_core::circuit::Saved;

use crate::breaker::Breaker;
use crate::handle::BreakerHandle;

/// What a restart should not forget of a breaker: from
/// [`BreakerHandle::save`], for [`BreakerHandle::restore`]. With the feature `serde` it can be written down
/// in any format.
///
/// The stamp is by the wall clock, which is all that two processes share. It is used for one thing, to
/// tell how much of an open time has passed in between, and believed only as far as that is harmless: a
/// clock that has gone back makes that nothing, one that has leapt ahead lets the breaker probe at
/// once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SavedBreaker {
    /// The breaker's name, to find it by among others. It is not compared.
    pub name: String,
    /// The circuit.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub circuit: Saved,
    /// When that was, in milliseconds since 1970, by the wall clock.
    #[cfg_attr(feature = "serde", serde(default))]
    pub at_unix_ms: u64,
}

impl BreakerHandle {
    /// What the process after this one should not forget: the state, how long it has yet to stay open, how
    /// often it has opened. `wall_now` is the wall clock's time, which two processes share.
    pub fn save(&self, wall_now: SystemTime) -> SavedBreaker {
        let shared = self.breaker().shared();
        let now = shared.clock().now();
        let circuit = shared.with_at(now, |machine| machine.circuit.save(now));
        SavedBreaker::new(self.name(), circuit, wall_now)
    }

    /// Takes over what a process before this one saved; whether that changed the state.
    ///
    /// What is left of an open time runs on, less the time that has passed by the wall clock, and never for
    /// longer than the cap of this breaker's open time. What was half-open or ramping probes with the next
    /// call. States set by hand stay set. A breaker that is not closed keeps its state: to start in another
    /// one ([`Config::start`](crate::Config::start)) is the word of whoever wrote the configuration.
    pub fn restore(&self, saved: &SavedBreaker, wall_now: SystemTime) -> bool {
        let shared = self.breaker().shared();
        let (now, passed) = (shared.clock().now(), saved.passed(wall_now));
        shared.with_at(now, |machine| machine.restore(&saved.circuit, passed, now))
    }
}

impl Breaker {
    /// Goes on as a breaker of its name was left, however long ago: nobody has called since.
    pub(crate) fn recall(&self, circuit: &Saved) {
        let shared = self.shared();
        let now = shared.clock().now();
        shared.with(|machine| machine.restore(circuit, Duration::ZERO, now));
    }
}

impl SavedBreaker {
    pub(crate) fn new(name: &str, circuit: Saved, wall_now: SystemTime) -> Self {
        Self {
            name: name.to_owned(),
            circuit,
            at_unix_ms: unix_ms(wall_now),
        }
    }

    /// How much time has passed since, as far as the wall clock can tell.
    pub(crate) fn passed(&self, wall_now: SystemTime) -> Duration {
        Duration::from_millis(unix_ms(wall_now).saturating_sub(self.at_unix_ms))
    }
}

fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::circuit::State;

    #[test]
    fn a_clock_that_went_back_and_one_before_its_epoch_let_no_time_pass() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let circuit = Saved::new(State::Open, Duration::from_secs(5), 1);
        let saved = SavedBreaker::new("db", circuit, at);
        let second = Duration::from_secs(1);
        assert_eq!(saved.passed(at + second), second);
        assert_eq!(
            saved.passed(at.checked_sub(second).unwrap()),
            Duration::ZERO
        );
        let early = SystemTime::UNIX_EPOCH.checked_sub(second).unwrap();
        assert_eq!(saved.passed(early), Duration::ZERO);
        assert_eq!(SavedBreaker::new("db", circuit, early).at_unix_ms, 0);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn it_reads_as_one_flat_record_and_nothing_forged_panics() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(7);
        let circuit = Saved::new(State::Open, Duration::from_secs(5), 3);
        let saved = SavedBreaker::new("db", circuit, at);
        let json = serde_json::to_string(&saved).unwrap();
        let expected =
            r#"{"name":"db","state":"open","remaining_ms":5000,"attempt":3,"at_unix_ms":7}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<SavedBreaker>(&json).unwrap(), saved);
        for forged in [
            "{}",
            r#"{"name":"db","state":"ajar"}"#,
            r#"{"name":1,"state":"open"}"#,
        ] {
            assert!(serde_json::from_str::<SavedBreaker>(forged).is_err());
        }
    }
}
