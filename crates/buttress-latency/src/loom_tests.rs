//! Every interleaving of a few writers, a fold and a reader. CONTRIBUTING.md says how to run them.
//!
//! All records fall into one octave, of two shards: one that a thread has to itself, one that is shared.

#[path = "../../../tests/loom/mod.rs"]
mod shared;

use std::time::Duration;

use buttress_core::clock::{Instant, ManualClock};
use buttress_core::trace_context::TraceContext;
use loom::sync::Arc;
use loom::thread;

use crate::recorder::{Exemplars, Sampled, sit_alone};
use crate::{Recorder, RollingRecorder, Snapshot, Windows};
use shared::explore;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_millis(21);

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

/// A window of a second, cut into ten slices.
fn second() -> Windows {
    Windows::new([Duration::from_secs(1)]).unwrap()
}

#[test]
fn two_writers_lose_nothing_and_what_a_reader_sees_only_grows() {
    explore(|| {
        let recorder = Arc::new(Recorder::new());
        let writers = [SHORT, LONG].map(|duration| {
            let recorder = Arc::clone(&recorder);
            thread::spawn(move || {
                if duration == LONG {
                    sit_alone();
                }
                recorder.record(duration);
            })
        });
        let seen = recorder.snapshot();
        for writer in writers {
            writer.join().unwrap();
        }
        let all = recorder.snapshot();
        assert_eq!((all.count(), all.sum()), (2, SHORT + LONG));
        assert_eq!(all.minimum().unwrap().value(), Some(SHORT));
        assert_eq!(all.maximum().unwrap().value(), Some(LONG));
        assert_eq!(all.since(&seen).count() + seen.count(), 2);
    });
}

#[test]
fn a_record_that_races_with_the_end_of_its_slice_is_in_one_slice() {
    explore(|| {
        let rolling = Arc::new(RollingRecorder::new(&second(), at(0)));
        rolling.record(at(10), SHORT);
        // One still belongs to the first slice, one is the first after it and folds.
        let writers = [(90, SHORT), (110, LONG)].map(|(millis, duration)| {
            let rolling = Arc::clone(&rolling);
            thread::spawn(move || {
                if duration == LONG {
                    sit_alone();
                }
                rolling.record(at(millis), duration);
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        let (total, windows) = rolling.read(at(120));
        assert_eq!(total.count(), 3);
        let window = windows.first().unwrap();
        assert_eq!(window.counts, total.since(&Snapshot::default()));
        // When the first slice has left, what is in neither it nor the rest would be lost.
        let later = rolling.windows(at(1_050)).remove(0);
        assert!((1..=2).contains(&later.counts.count()), "{later:?}");
    });
}

#[test]
fn a_reader_among_a_writer_and_a_fold_sees_a_window_that_is_the_total() {
    explore(|| {
        let rolling = Arc::new(RollingRecorder::new(&second(), at(0)));
        let writer = {
            let rolling = Arc::clone(&rolling);
            thread::spawn(move || {
                sit_alone();
                rolling.record(at(90), LONG);
                rolling.record(at(110), SHORT);
            })
        };
        let (total, windows) = rolling.read(at(120));
        let difference = total.since(&Snapshot::default());
        assert_eq!(windows.first().unwrap().counts, difference);
        writer.join().unwrap();
        let (total, windows) = rolling.read(at(130));
        assert_eq!(total.count(), 2);
        let difference = total.since(&Snapshot::default());
        assert_eq!(windows.first().unwrap().counts, difference);
    });
}

/// The three words that are told apart by their record, of what is read.
fn whole(exemplars: &Exemplars) -> usize {
    let read = exemplars.read();
    for one in &read {
        let id = u128::from(one.span_id);
        assert_eq!(one.trace_id, id << 64 | id);
    }
    read.len()
}

#[test]
fn an_exemplar_that_is_read_is_of_one_record() {
    explore(|| {
        let exemplars = Arc::new(Exemplars::new());
        let clock = ManualClock::new().clock();
        let offer = move |exemplars: &Exemplars, id: u64| {
            let context = TraceContext::new(u128::from(id) << 64 | u128::from(id), id, true);
            let trace = Sampled::of(&context.unwrap()).unwrap();
            exemplars.offer(trace, 20_000_000, at(id * 10_000), &clock);
        };
        offer(&exemplars, 1);
        let writer = {
            let exemplars = Arc::clone(&exemplars);
            thread::spawn(move || offer(&exemplars, 2))
        };
        whole(&exemplars);
        writer.join().unwrap();
        assert_eq!(whole(&exemplars), 1);
    });
}
