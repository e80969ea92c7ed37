//! What a pool does beside requests, run by hand.

use std::sync::{Arc, Mutex};

use buttress_core::spawn::{Spawn, Task};

/// Tasks that run when they are told to.
#[derive(Clone, Default)]
pub struct Tasks(Arc<Mutex<Vec<tokio_test::task::Spawn<Task>>>>);

impl Tasks {
    pub fn spawn(&self) -> Spawn {
        let tasks = Arc::clone(&self.0);
        Spawn::new(move |task| tasks.lock().unwrap().push(tokio_test::task::spawn(task)))
    }

    /// Runs them until all wait.
    pub fn run(&self) {
        let mut tasks = self.0.lock().unwrap();
        loop {
            tasks.retain_mut(|task| task.poll().is_pending());
            if !tasks.iter().any(tokio_test::task::Spawn::is_woken) {
                return;
            }
        }
    }

    pub fn live(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
