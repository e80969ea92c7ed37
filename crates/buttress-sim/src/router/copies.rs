//! What a router does in the background: the executor of its `Spawn`, whose tasks are calls of the world.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use buttress_core::spawn::{Spawn, Task};

use super::End;
use super::reached::{Desk, Line};

/// Copies of requests under way, by the number that the world gave them.
pub(super) struct Copies {
    spawned: Shared<Task>,
    places: Vec<Option<Copy>>,
    /// Those that something besides their host has woken: their time is over.
    woken: Shared<usize>,
}

struct Copy {
    task: Task,
    line: Arc<Line>,
    waker: Waker,
}

impl Copies {
    /// None, and what puts some here.
    pub(super) fn new() -> (Self, Spawn) {
        let spawned = Shared::default();
        let put = spawned.clone();
        let spawn = Spawn::new(move |task| put.push(task));
        let copies = Self {
            spawned,
            places: Vec::new(),
            woken: Shared::default(),
        };
        (copies, spawn)
    }

    /// Runs the next task up to the call to its host, as `call`.
    pub(super) fn begin(&mut self, call: usize, desk: &Desk) -> Option<usize> {
        loop {
            let mut task = self.spawned.pop()?;
            let woken = self.woken.clone();
            let waker = Waker::from(Arc::new(Bell { call, woken }));
            if poll(&mut task, &waker).is_ready() {
                continue;
            }
            let (host, line) = desk.take()?;
            if self.places.len() <= call {
                self.places.resize_with(call + 1, || None);
            }
            *self.places.get_mut(call)? = Some(Copy { task, line, waker });
            return Some(host);
        }
    }

    /// The host has said something: whether `call` is a copy.
    pub(super) fn end(&mut self, call: usize, end: End) -> bool {
        let ended = self.places.get_mut(call).and_then(Option::take);
        let is_copy = ended.is_some();
        if let Some(mut copy) = ended {
            copy.line.say(end);
            let polled = poll(&mut copy.task, &copy.waker);
            debug_assert!(polled.is_ready(), "what was answered ends");
        }
        is_copy
    }

    /// One whose time is over.
    pub(super) fn given_up(&mut self) -> Option<usize> {
        while let Some(call) = self.woken.pop() {
            let Some(place) = self.places.get_mut(call) else {
                continue;
            };
            let is_over = |copy: &mut Copy| poll(&mut copy.task, &copy.waker).is_ready();
            if place.as_mut().is_some_and(is_over) {
                *place = None;
                return Some(call);
            }
        }
        None
    }
}

fn poll(task: &mut Task, waker: &Waker) -> Poll<()> {
    task.as_mut().poll(&mut Context::from_waker(waker))
}

/// Notes which copy was woken.
struct Bell {
    call: usize,
    woken: Shared<usize>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.push(self.call);
    }
}

/// A queue with two ends, of which one is in somebody else's hands.
struct Shared<T>(Arc<Mutex<VecDeque<T>>>);

impl<T> Shared<T> {
    fn push(&self, item: T) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(item);
    }

    fn pop(&self) -> Option<T> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
