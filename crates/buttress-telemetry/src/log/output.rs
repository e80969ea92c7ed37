//! Where lines go, and which of them are held back.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use buttress_core::clock::Clock;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::line::Line;
use super::repeats::{Repeats, Seen, Summary, Windows};
use super::{Format, human, json};
use crate::redact::Redaction;

/// What all that writes lines shares.
pub(crate) struct Output {
    format: Format,
    pub(super) redaction: Redaction,
    writer: BoxMakeWriter,
    clock: Clock,
    repeats: Option<Held>,
}

/// The windows of lines that repeat, and whether somebody waits for the end of one.
struct Held {
    config: Repeats,
    state: Mutex<State>,
}

struct State {
    windows: Windows,
    is_watched: bool,
}

impl Output {
    pub(crate) fn new(
        format: Format,
        redaction: Redaction,
        writer: BoxMakeWriter,
        clock: Clock,
        repeats: Option<Repeats>,
    ) -> Arc<Self> {
        let repeats = repeats.map(|config| Held {
            config,
            state: Mutex::new(State {
                windows: Windows::new(config),
                is_watched: false,
            }),
        });
        Arc::new(Self {
            format,
            redaction,
            writer,
            clock,
            repeats,
        })
    }

    /// What is to be written where `line` comes: nothing if it is held back, and before it what was held
    /// back until now.
    pub(super) fn text(self: &Arc<Self>, line: &Line<'_>) -> String {
        match &self.repeats {
            Some(held) if line.may_repeat(held.config.in_requests) => {
                self.unless_repeated(held, line)
            }
            _ => self.render(line),
        }
    }

    fn unless_repeated(self: &Arc<Self>, held: &Held, line: &Line<'_>) -> String {
        let now = self.clock.now();
        let seen = Seen {
            place: line.place.as_ref(),
            level: line.level,
            target: &line.target,
            message: &line.message,
        };
        let mut state = held.state.lock().unwrap_or_else(PoisonError::into_inner);
        let summaries = state.windows.ended(now);
        let is_written = state.windows.admit(seen, now);
        let is_first = !is_written && !std::mem::replace(&mut state.is_watched, true);
        drop(state);
        if is_first {
            self.watch();
        }
        let mut text = self.summed_up(summaries);
        if is_written {
            text.push_str(&self.render(line));
        }
        text
    }

    fn render(&self, line: &Line<'_>) -> String {
        match self.format {
            Format::Human => human::render(line),
            Format::Json => json::render(line),
        }
    }

    fn summed_up(&self, summaries: Vec<Summary>) -> String {
        let lines = summaries.into_iter().map(Line::of_summary);
        lines.map(|line| self.render(&line)).collect()
    }

    /// Says what was held back until now, whether its windows have ended or not.
    pub(crate) fn sum_up(&self) {
        let Some(held) = &self.repeats else {
            return;
        };
        let mut state = held.state.lock().unwrap_or_else(PoisonError::into_inner);
        let summaries = state.windows.end_all();
        drop(state);
        self.write(&self.summed_up(summaries));
    }

    /// Waits for the ends of windows on a thread that ends when none is left. Without the thread what was
    /// held back is said with the next line.
    fn watch(self: &Arc<Self>) {
        let output = Arc::downgrade(self);
        let started = thread::Builder::new()
            .name("buttress-log".to_owned())
            .spawn(move || watch(&output));
        if started.is_err() {
            self.stop_watching();
        }
    }

    fn stop_watching(&self) {
        if let Some(held) = &self.repeats {
            let mut state = held.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_watched = false;
        }
    }

    /// Says what was held back in windows that have ended; how long the next one lasts, if there is one.
    fn sum_up_ended(&self) -> Option<Duration> {
        let held = self.repeats.as_ref()?;
        let now = self.clock.now();
        let mut state = held.state.lock().unwrap_or_else(PoisonError::into_inner);
        let summaries = state.windows.ended(now);
        let next = state.windows.next_end();
        state.is_watched = next.is_some();
        drop(state);
        self.write(&self.summed_up(summaries));
        // A little later rather than many times too early.
        next.map(|end| {
            end.saturating_since(now)
                .saturating_add(Duration::from_millis(1))
        })
    }

    fn write(&self, text: &str) {
        if !text.is_empty() {
            // As with any line: what takes them may be gone.
            let _ = self.make_writer().write_all(text.as_bytes());
        }
    }
}

fn watch(output: &Weak<Output>) {
    while let Some(wait) = output.upgrade().and_then(|output| output.sum_up_ended()) {
        thread::park_timeout(wait);
    }
}

impl<'w> MakeWriter<'w> for Output {
    type Writer = Box<dyn Write + 'w>;

    fn make_writer(&'w self) -> Self::Writer {
        self.writer.make_writer()
    }

    fn make_writer_for(&'w self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        self.writer.make_writer_for(meta)
    }
}

/// The same, for whoever wants to own it.
#[derive(Clone, Debug)]
pub(crate) struct Shared(pub(crate) Arc<Output>);

impl<'w> MakeWriter<'w> for Shared {
    type Writer = Box<dyn Write + 'w>;

    fn make_writer(&'w self) -> Self::Writer {
        self.0.make_writer()
    }

    fn make_writer_for(&'w self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        self.0.make_writer_for(meta)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Output");
        shown.field("format", &self.format).finish_non_exhaustive()
    }
}
