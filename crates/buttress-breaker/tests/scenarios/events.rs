//! What is told, and in which order.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Wake, Waker};

use buttress_breaker::{BreakerHandle, Event, Ramp, State, Step};
use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use buttress_core::outcome::Outcome;
use buttress_core::verdict::Action;

use crate::support::{BAD, OPEN_FOR, trip};
use crate::tools::{SECOND, changes, end, of, settings, take_all, told, with};

// Polly: Flow_Closed_HalfOpen_Open_HalfOpen_Closed
#[test]
fn a_full_cycle_is_told_in_order_with_its_reasons() {
    let time = ManualClock::new();
    let breaker = with(&time, settings(1).successes_to_close(of(1)));
    let mut events = breaker.handle().subscribe();
    trip(&breaker);
    time.advance(OPEN_FOR);
    end(&breaker, BAD);
    time.advance(OPEN_FOR);
    end(&breaker, Outcome::Success);
    let cycle: Vec<_> = told(&mut events)
        .into_iter()
        .map(
            |Event {
                 transition,
                 verdict,
                 ..
             }| {
                let change = transition.unwrap();
                (change.from, change.to, verdict.rule, verdict.action)
            },
        )
        .collect();
    let opened = Action::Opened(OPEN_FOR);
    let expected = [
        (
            State::Closed,
            State::Open,
            "consecutive_failures",
            opened.clone(),
        ),
        (State::Open, State::HalfOpen, "open_time", Action::Probing),
        (State::HalfOpen, State::Open, "probe", opened),
        (State::Open, State::HalfOpen, "open_time", Action::Probing),
        (State::HalfOpen, State::Closed, "probe", Action::Closed),
    ];
    assert_eq!(
        cycle,
        expected.map(|(from, to, rule, did)| (from, to, rule.into(), did))
    );
}

// Polly: Flow_Closed_HalfOpen_Open_HalfOpen_Closed, where traffic rises before the circuit is closed
#[test]
fn a_full_cycle_with_a_ramp_goes_by_way_of_it() {
    let time = ManualClock::new();
    let ramp = Ramp::new([Step::new(0.5, SECOND, 1)]);
    let breaker = with(&time, settings(1).successes_to_close(of(1)).ramp(ramp));
    let mut events = breaker.handle().subscribe();
    trip(&breaker);
    time.advance(OPEN_FOR);
    end(&breaker, Outcome::Success);
    end(&breaker, Outcome::Success);
    time.advance(SECOND);
    end(&breaker, Outcome::Success);
    let way = [
        State::Closed,
        State::Open,
        State::HalfOpen,
        State::Ramping,
        State::Closed,
    ];
    let expected: Vec<_> = way.windows(2).map(|pair| (pair[0], pair[1])).collect();
    assert_eq!(changes(&mut events), expected);
}

// Polly: ScheduleTask_Multiple_EnsureExecutionSerialized. No callback is called here: each subscriber
// has a channel of its own.
#[test]
fn racing_changes_are_told_to_every_subscriber_in_the_one_order_in_which_they_happened() {
    // No more changes than a subscriber may fall behind.
    const ROUNDS: u32 = 15;
    let time = ManualClock::new();
    let breaker = with(&time, settings(4).successes_to_close(of(1)));
    let mut subscribers = [(); 3].map(|()| breaker.handle().subscribe());
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for racer in 0..4 {
            let (breaker, time, start) = (&breaker, &time, &start);
            scope.spawn(move || {
                start.wait();
                for _ in 0..ROUNDS {
                    for permit in take_all(breaker).into_iter().take(3) {
                        permit.record(if racer % 2 == 0 {
                            BAD
                        } else {
                            Outcome::Success
                        });
                    }
                    time.advance(OPEN_FOR / 4);
                }
            });
        }
    });
    let [first, others @ ..] = subscribers.each_mut().map(|events| {
        let all = std::iter::from_fn(|| events.try_recv());
        all.map(|received| match received {
            Received::Event(event) => event,
            Received::Lagged(lost) => panic!("lost {lost}"),
        })
        .collect::<Vec<_>>()
    });
    assert!(first.len() > 2, "{}", first.len());
    let mut at = State::Closed;
    for event in &first {
        let change = event.transition.unwrap();
        assert_eq!(change.from, at, "each begins where the last one ended");
        at = change.to;
    }
    assert_eq!(at, breaker.state());
    for other in others {
        assert_eq!(other, first);
    }
}

/// Takes the breaker in hand, once, as soon as it is told of a change.
struct Meddler(BreakerHandle, AtomicBool);

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        if !self.1.swap(true, Ordering::Relaxed) {
            self.0.force_open();
            self.0.force_closed();
            self.0.release();
        }
    }
}

// Polly: ScheduleTask_Multiple_EnsureExecutionSerialized, where one task begins another
#[test]
fn changes_made_while_one_is_told_are_told_after_it_and_in_their_order() {
    let time = ManualClock::new();
    let breaker = with(&time, settings(1));
    let handle = breaker.handle();
    let mut events = handle.subscribe();
    let mut waiting = handle.subscribe();
    let meddler = Waker::from(Arc::new(Meddler(handle, AtomicBool::new(false))));
    let mut next = pin!(waiting.recv());
    let pending = next.as_mut().poll(&mut Context::from_waker(&meddler));
    assert!(pending.is_pending());
    (0..2).for_each(|_| end(&breaker, BAD));
    let way = [
        State::Closed,
        State::Open,
        State::ForcedOpen,
        State::ForcedClosed,
        State::Closed,
    ];
    let expected: Vec<_> = way.windows(2).map(|pair| (pair[0], pair[1])).collect();
    assert_eq!(changes(&mut events), expected);
}
