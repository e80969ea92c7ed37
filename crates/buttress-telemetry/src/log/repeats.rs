//! Lines that come again and again: the first are written, the rest counted.
//!
//! A window begins with the first line of its kind and ends so much later. What was held back in it is
//! said when it ends, in a line of the same level: "repeated 4,213 times".

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use buttress_core::clock::Instant;
use tracing::Level;
use tracing::callsite::Identifier;

/// How often a line is written before it is only counted.
///
/// Lines are alike if they come from the same place in the code and have the same message, whatever
/// their fields say. By default the first 20 of a kind are written in 10 seconds, and the lines of a
/// request, which make up its story, are always written: see [`Repeats::in_requests`]. Access lines and
/// changes of the filter are never held back, and neither is the first line of a kind.
///
/// At most 1,024 kinds are told apart. Beyond these, lines below ERROR are counted together, and lines
/// of ERROR are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeats {
    pub(crate) burst: u32,
    pub(crate) window: Duration,
    pub(crate) in_requests: bool,
}

impl Default for Repeats {
    fn default() -> Self {
        Self {
            burst: 20,
            window: Duration::from_secs(10),
            in_requests: false,
        }
    }
}

impl Repeats {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes so many lines of a kind in a window; at least one.
    #[must_use]
    pub fn burst(mut self, lines: u32) -> Self {
        self.burst = lines.max(1);
        self
    }

    /// Counts in windows of this length.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Whether lines of requests are held back as well. What `grep ID` finds then has gaps.
    #[must_use]
    pub fn in_requests(mut self, also: bool) -> Self {
        self.in_requests = also;
        self
    }
}

/// So many kinds of lines are told apart.
const KINDS: usize = 1024;

/// So much of a message is kept to be repeated.
const KEPT: usize = 200;

/// What a line is, as far as repeats are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'l> {
    pub(super) place: Option<&'l Identifier>,
    pub(super) level: Level,
    pub(super) target: &'l str,
    pub(super) message: &'l str,
}

/// What was held back in a window that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) level: Level,
    pub(super) target: Cow<'static, str>,
    pub(super) message: String,
    pub(super) times: u64,
}

/// The windows that are open.
#[derive(Debug)]
pub(super) struct Windows {
    config: Repeats,
    hasher: RandomState,
    open: BTreeMap<Kind, Window>,
    /// In the order in which they end; all are of the same length.
    ends: VecDeque<(Instant, Kind)>,
}

/// Place and message, as one number: keyed by chance, so that nobody can make two alike. `None` is
/// what the rest is counted under.
type Kind = Option<u64>;

#[derive(Debug)]
struct Window {
    written: u32,
    summary: Summary,
}

impl Windows {
    pub(super) fn new(config: Repeats) -> Self {
        Self {
            config,
            hasher: RandomState::new(),
            open: BTreeMap::new(),
            ends: VecDeque::new(),
        }
    }

    /// Whether a line that comes `now` is written.
    pub(super) fn admit(&mut self, seen: Seen<'_>, now: Instant) -> bool {
        let kind = Some(self.hasher.hash_one((seen.place, seen.message)));
        let is_new = !self.open.contains_key(&kind);
        if !is_new || self.open.len() < KINDS {
            return self.count(kind, seen, now);
        }
        seen.level == Level::ERROR || self.count(None, seen, now)
    }

    fn count(&mut self, kind: Kind, seen: Seen<'_>, now: Instant) -> bool {
        let window = self.open.entry(kind).or_insert_with(|| {
            let end = now.saturating_add(self.config.window);
            self.ends.push_back((end, kind));
            Window::of(kind, seen)
        });
        if window.written < self.config.burst {
            window.written += 1;
            return true;
        }
        window.summary.times = window.summary.times.saturating_add(1);
        false
    }

    /// Closes the windows that have ended by `now`; what was held back in them.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<Summary> {
        self.close(|end| end <= now)
    }

    /// Closes all windows.
    pub(super) fn end_all(&mut self) -> Vec<Summary> {
        self.close(|_| true)
    }

    fn close(&mut self, has_ended: impl Fn(Instant) -> bool) -> Vec<Summary> {
        let mut summaries = Vec::new();
        while let Some(&(end, kind)) = self.ends.front()
            && has_ended(end)
        {
            self.ends.pop_front();
            let closed = self.open.remove(&kind).map(|window| window.summary);
            summaries.extend(closed.filter(|summary| summary.times > 0));
        }
        summaries
    }

    /// When the next window ends, if one is open.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.front().map(|&(end, _)| end)
    }
}

impl Window {
    fn of(kind: Kind, seen: Seen<'_>) -> Self {
        let message = match kind {
            Some(_) => seen.message.chars().take(KEPT).collect(),
            None => "lines of other kinds".to_owned(),
        };
        Self {
            written: 0,
            summary: Summary {
                level: seen.level,
                target: Cow::Owned(seen.target.to_owned()),
                message,
                times: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::clock::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    fn windows(burst: u32) -> Windows {
        Windows::new(Repeats::new().burst(burst).window(10 * SECOND))
    }

    fn seen(level: Level, message: &str) -> Seen<'_> {
        Seen {
            place: None,
            level,
            target: "test",
            message,
        }
    }

    #[test]
    fn the_first_lines_of_a_window_are_written_and_the_rest_is_summed_up_at_its_end() {
        let time = ManualClock::new();
        let mut windows = windows(2);
        let line = seen(Level::WARN, "again");
        let written = (0..4_215)
            .filter(|_| windows.admit(line, time.now()))
            .count();
        assert_eq!(written, 2);
        time.advance(9 * SECOND);
        assert_eq!(windows.ended(time.now()), []);
        time.advance(SECOND);
        let summaries = windows.ended(time.now());
        assert_eq!(summaries.len(), 1);
        assert_eq!(
            (summaries[0].times, summaries[0].message.as_str()),
            (4_213, "again")
        );
        assert_eq!(windows.next_end(), None);
        assert!(windows.admit(line, time.now()), "a new window begins");
        time.advance(10 * SECOND);
        assert_eq!(windows.ended(time.now()), [], "nothing was held back");
    }

    #[test]
    fn other_messages_are_other_kinds() {
        let time = ManualClock::new();
        let mut windows = windows(1);
        assert!(windows.admit(seen(Level::INFO, "a"), time.now()));
        assert!(windows.admit(seen(Level::INFO, "b"), time.now()));
        assert!(!windows.admit(seen(Level::INFO, "a"), time.now()));
        assert_eq!(windows.end_all().len(), 1);
    }

    #[test]
    fn a_flood_of_kinds_stays_at_the_cap_is_counted_and_hides_no_error() {
        let time = ManualClock::new();
        let mut windows = windows(1);
        let mut written = 0;
        for n in 0..100_000 {
            written += u32::from(windows.admit(seen(Level::INFO, &n.to_string()), time.now()));
        }
        assert_eq!(windows.open.len(), KINDS + 1);
        assert_eq!(windows.ends.len(), KINDS + 1);
        assert_eq!(written, 1_025);
        assert!(windows.admit(seen(Level::ERROR, "new"), time.now()));
        let summaries = windows.end_all();
        assert_eq!(summaries.len(), 1);
        assert_eq!(u64::from(written) + summaries[0].times, 100_000);
    }

    #[test]
    fn any_step_of_the_clock_is_safe() {
        let time = ManualClock::new();
        let mut windows = Windows::new(Repeats::new().burst(0).window(Duration::MAX));
        assert!(windows.admit(seen(Level::INFO, "a"), time.now()));
        assert!(!windows.admit(seen(Level::INFO, "a"), Instant::NEVER));
        assert_eq!(windows.end_all().len(), 1);
        assert_eq!(windows.ended(time.now()), []);
    }
}
