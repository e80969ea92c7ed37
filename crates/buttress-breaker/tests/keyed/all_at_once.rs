//! What is set for all keys at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

#[test]
fn all_are_reconfigured_and_held_at_once_and_those_to_come_as_well() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 2);
    let handle = breakers.handle();
    end(&breakers.get(1), BAD);
    let refused = handle.reconfigure(config(&time).rules([]));
    assert_eq!(refused.unwrap_err().field(), "rules");
    assert_eq!(breakers.get(1).state(), State::Closed, "the old rules hold");
    let one = Config::clone(&config(&time)).rules([Rule::ConsecutiveFailures(1)]);
    handle.reconfigure(one).unwrap();
    assert_eq!(
        breakers.get(1).state(),
        State::Open,
        "what was seen is judged by the new rule"
    );
    for key in [2, 3] {
        end(&breakers.get(key), BAD);
        assert_eq!(breakers.get(key).state(), State::Open, "{key}");
    }
    let fresh = keyed(&time, 2);
    fresh.get(1);
    fresh.handle().force_open();
    for key in [1, 2, 3] {
        assert_eq!(fresh.get(key).state(), State::ForcedOpen, "{key}");
    }
    fresh.handle().release();
    assert!([1, 2, 3].map(|key| fresh.get(key).state()) == [State::Closed; 3]);
}

/// When it is first asked it gives all keys another configuration.
#[derive(Debug)]
struct Crossing(KeyedHandle<u32>, Mutex<Option<Config>>);

impl TripRule for Crossing {
    fn window(&self) -> Window {
        Window::Calls(10)
    }

    fn judge(&self, _: &Evidence) -> Option<Trip> {
        if let Some(other) = self.1.lock().unwrap().take() {
            self.0.reconfigure(other).unwrap();
        }
        None
    }
}

#[test]
fn of_two_configurations_that_cross_all_keys_have_the_one_that_new_keys_get() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 3);
    (1..=3).for_each(|key| end(&breakers.get(key), BAD));
    let last = config(&time).rules([Rule::ConsecutiveFailures(3)]);
    let crossing = Crossing(breakers.handle(), Mutex::new(Some(last)));
    let first = config(&time).rules([Rule::custom(crossing)]);
    breakers.handle().reconfigure(first).unwrap();
    for key in 1..=4 {
        (0..3).for_each(|_| drop(breakers.get(key).try_acquire().map(|it| it.record(BAD))));
        assert_eq!(breakers.get(key).state(), State::Open, "{key}");
    }
}

/// Does something to all keys when it is first written out.
#[derive(Clone)]
struct Meddling(Arc<Mutex<Option<Meddle>>>);

type Meddle = Box<dyn FnOnce() + Send>;

impl std::fmt::Display for Meddling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let meddle = self.0.lock().unwrap().take();
        if let Some(meddle) = meddle {
            meddle();
        }
        f.write_str("key")
    }
}

impl PartialEq for Meddling {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Meddling {}

impl Hash for Meddling {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[test]
fn a_key_that_comes_back_while_all_are_reconfigured_still_probes() {
    let time = ManualClock::new();
    let config = config(&time);
    let limits = Limits::default().idle_after(IDLE);
    let keyed = KeyedConfig::default()
        .breaker(config.clone())
        .limits(limits);
    let breakers = KeyedBreaker::<Meddling>::new("tenants", keyed).unwrap();
    let key = Meddling(Arc::default());
    (0..2).for_each(|_| end(&breakers.get(key.clone()), BAD));
    breakers.handle().sweep();
    time.advance(IDLE * 6);
    breakers.handle().sweep();
    assert!(breakers.handle().is_empty());
    let handle = breakers.handle();
    *key.0.lock().unwrap() = Some(Box::new(move || handle.reconfigure(config).unwrap()));
    let back = breakers.get(key.clone());
    assert!(key.0.lock().unwrap().is_none());
    assert!(back.try_acquire().unwrap().is_probe());
}

#[test]
fn what_crosses_a_state_that_all_are_held_in_holds_for_all() {
    /// Releases all when it is woken first.
    struct Release(KeyedHandle<u32>, AtomicBool);
    impl Wake for Release {
        fn wake(self: Arc<Self>) {
            if !self.1.swap(true, Ordering::Relaxed) {
                self.0.release();
            }
        }
    }
    let time = ManualClock::new();
    let breakers = keyed(&time, 3);
    (1..=3).for_each(|key| end(&breakers.get(key), Outcome::Success));
    let mut told = breakers.handle().subscribe();
    let release = Release(breakers.handle(), AtomicBool::new(false));
    let waker = Waker::from(Arc::new(release));
    let mut hearing = std::pin::pin!(told.recv());
    assert!(
        hearing
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    breakers.handle().force_open();
    let states = [1, 2, 3, 4].map(|key| breakers.get(key).state());
    assert_eq!(states, [State::Closed; 4]);
}

#[test]
fn breakers_that_are_made_to_observe_go_when_they_idle_as_others_do() {
    let time = ManualClock::new();
    let observing = KeyedConfig::default()
        .breaker(config(&time).start(State::Observing))
        .limits(Limits::default().idle_after(IDLE));
    let breakers = KeyedBreaker::<u32>::new("shadow", observing).unwrap();
    end(&breakers.get(1), Outcome::Success);
    end(&breakers.get(2), Outcome::Success);
    breakers.get(2).handle().force_open();
    breakers.get(2).handle().observe();
    time.advance(IDLE);
    breakers.handle().sweep();
    assert_eq!(
        breakers.handle().keys(),
        [2],
        "what somebody has set by hand stays"
    );
}

#[test]
fn what_all_are_held_in_by_hand_keeps_no_key() {
    let time = ManualClock::new();
    let hold: [fn(&KeyedHandle<u32>); 3] = [
        KeyedHandle::observe,
        KeyedHandle::force_closed,
        KeyedHandle::force_open,
    ];
    for hold in hold {
        let breakers = keyed(&time, 10);
        let handle = breakers.handle();
        breakers.get(1);
        hold(&handle);
        let held = breakers.get(2).state();
        time.advance(IDLE);
        handle.sweep();
        assert_eq!(handle.keys(), [] as [u32; 0], "{held}");
        assert_eq!(breakers.get(1).state(), held, "as it was");
        // Once all are let go, what one was set to by hand is its own again.
        handle.release();
        breakers.get(1).handle().transition_to(held).unwrap();
        handle.sweep();
        time.advance(IDLE);
        handle.sweep();
        assert_eq!(handle.keys(), [1], "{held}");
    }
}
