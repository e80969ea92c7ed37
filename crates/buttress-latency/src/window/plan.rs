//! Which windows there are, and how each is cut into slices.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::config::ConfigError;

/// Slices of the shortest window.
const SLICES_OF_SHORTEST: u32 = 10;
/// Slices of a longer one, at most.
const SLICES: u32 = 20;
const MOST_WINDOWS: usize = 8;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The lengths of the rolling windows: by default 10 s, 1 min and 5 min. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows(Arc<[Span]>);

/// One window and its slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) length: Duration,
    pub(crate) slice_nanos: u64,
    pub(crate) slices: u64,
}

impl Windows {
    /// Windows of these lengths: one to eight of them, each from a second to a day.
    pub fn new(lengths: impl IntoIterator<Item = Duration>) -> Result<Self, ConfigError> {
        let lengths: Vec<Duration> = lengths.into_iter().take(MOST_WINDOWS + 1).collect();
        if lengths.is_empty() || lengths.len() > MOST_WINDOWS {
            let problem = format!("there must be 1 to {MOST_WINDOWS} windows");
            return Err(ConfigError::new("windows", problem));
        }
        let in_range = |length: &Duration| (SHORTEST..=LONGEST).contains(length);
        if let Some(bad) = lengths.iter().find(|length| !in_range(length)) {
            let problem = format!("{bad:?} is no window; use 1 s to 24 h");
            return Err(ConfigError::new("windows", problem));
        }
        Ok(Self::cut(&lengths))
    }

    /// The lengths.
    pub fn lengths(&self) -> impl Iterator<Item = Duration> + '_ {
        self.0.iter().map(|span| span.length)
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Every slice is a multiple of the shortest, so that the ends of the shortest are all there are.
    fn cut(lengths: &[Duration]) -> Self {
        let shortest = lengths.iter().min().copied().unwrap_or(SHORTEST);
        let tick = nanos(shortest / SLICES_OF_SHORTEST).max(1);
        Self(
            lengths
                .iter()
                .map(|length| Span::cut(*length, tick))
                .collect(),
        )
    }
}

impl Span {
    fn cut(length: Duration, tick: u64) -> Self {
        let slice_nanos = nanos(length / SLICES).div_ceil(tick).max(1) * tick;
        Self {
            length,
            slice_nanos,
            slices: (nanos(length) / slice_nanos).max(1),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Default for Windows {
    fn default() -> Self {
        Self::cut(&[10, 60, 300].map(Duration::from_secs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_windows_are_cut_into_whole_slices() {
        let cut: Vec<_> = Windows::default()
            .spans()
            .iter()
            .map(|s| (s.slice_nanos, s.slices))
            .collect();
        assert_eq!(
            cut,
            [
                (1_000_000_000, 10),
                (3_000_000_000, 20),
                (15_000_000_000, 20)
            ]
        );
    }

    #[test]
    fn a_window_that_makes_no_sense_is_refused() {
        assert!(Windows::new([]).is_err());
        assert!(Windows::new([Duration::ZERO]).is_err());
        assert!(Windows::new([Duration::MAX]).is_err());
        assert!(Windows::new([Duration::from_secs(7); 9]).is_err());
        let error = Windows::new([Duration::from_millis(1)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "windows: 1ms is no window; use 1 s to 24 h"
        );
    }

    #[test]
    fn no_window_is_longer_than_was_asked_for() {
        for seconds in 1..400 {
            let windows = Windows::new([Duration::from_secs(7), Duration::from_secs(seconds)]);
            for span in windows.unwrap().spans() {
                assert!(u128::from(span.slice_nanos * span.slices) <= span.length.as_nanos());
                assert!(span.slices <= 20);
            }
        }
    }
}
