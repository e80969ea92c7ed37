//! Work that outlives a request: where it runs, how much of it, and that it is counted.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// A task as a [`Spawn`] hands it to its executor.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// So many tasks of one [`Spawn`] may live at once, where nothing else is said.
pub const DEFAULT_CAP: usize = 1024;

/// Runs tasks that outlive a request, up to a cap. Cheap to clone; clones share cap and counts.
///
/// Given to a room at construction. What a room spawns holds what it serves weakly and ends with the
/// last handle of it.
///
/// ```
/// use buttress_core::spawn::Spawn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let on_tokio = Spawn::current()?.cap(16);
/// on_tokio.spawn(async {})?;
///
/// // Any other executor, as a closure that takes a boxed future.
/// let on_threads = Spawn::new(|task| {
///     std::thread::spawn(move || tokio_test::block_on(task));
/// });
/// on_threads.spawn(async {})?;
/// # Ok(())
/// # }
/// ```
///
/// # Cost
///
/// One allocation for a task, and one atomic step for the count.
#[derive(Clone)]
pub struct Spawn {
    run: Arc<dyn Fn(Task) + Send + Sync>,
    cap: usize,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    live: AtomicUsize,
    refused: AtomicU64,
}

/// A task was not run: as many live as may, or the executor panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused;

/// There is no tokio runtime to spawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoRuntime;

impl Spawn {
    /// Tasks are run by `run`, which must not block. A task that it drops has ended.
    pub fn new(run: impl Fn(Task) + Send + Sync + 'static) -> Self {
        Self {
            run: Arc::new(run),
            cap: DEFAULT_CAP,
            counts: Arc::default(),
        }
    }

    /// Tasks are run by this tokio runtime, until it shuts down.
    pub fn tokio(runtime: tokio::runtime::Handle) -> Self {
        Self::new(move |task| drop(runtime.spawn(task)))
    }

    /// Tasks are run by the tokio runtime that this is called in.
    pub fn current() -> Result<Self, NoRuntime> {
        tokio::runtime::Handle::try_current()
            .map(Self::tokio)
            .map_err(|_| NoRuntime)
    }

    /// At most so many tasks of this value and its clones at once. Default [`DEFAULT_CAP`]; with 0 no
    /// task is run.
    #[must_use]
    pub const fn cap(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }

    /// Runs `task` to its end, unless as many live as may.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<(), Refused> {
        let place = self.take_place()?;
        let task = Box::pin(Counted {
            task,
            _place: place,
        });
        // Somebody else's code: its panic is not the caller's.
        catch_unwind(AssertUnwindSafe(|| (self.run)(task))).map_err(|_| self.refuse())
    }

    /// Whether it runs nothing: its cap is 0.
    pub const fn is_off(&self) -> bool {
        self.cap == 0
    }

    /// How many tasks live.
    pub fn live(&self) -> usize {
        self.counts.live.load(Ordering::Relaxed)
    }

    /// How many tasks were not run.
    pub fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }

    fn take_place(&self) -> Result<Place, Refused> {
        let one_more = |live: usize| (live < self.cap).then(|| live + 1);
        (self.counts.live)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map(|_| Place(Arc::clone(&self.counts)))
            .map_err(|_| self.refuse())
    }

    #[cold]
    fn refuse(&self) -> Refused {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        Refused
    }
}

/// Counts a task until it is dropped, by its end, its panic or its executor.
#[derive(Debug)]
struct Place(Arc<Counts>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    struct Counted<F> {
        #[pin]
        task: F,
        _place: Place,
    }
}

impl<F: Future<Output = ()>> Future for Counted<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().task.poll(cx)
    }
}

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawn")
            .field("cap", &self.cap)
            .field("live", &self.live())
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was not run: as many live as may, or the executor panicked")
    }
}

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not called inside a tokio runtime; pass its handle to `Spawn::tokio`")
    }
}

impl std::error::Error for Refused {}
impl std::error::Error for NoRuntime {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    type Queue = Arc<Mutex<Vec<Task>>>;

    fn queued() -> (Spawn, Queue) {
        let queue = Queue::default();
        let into = Arc::clone(&queue);
        (
            Spawn::new(move |task| into.lock().unwrap().push(task)),
            queue,
        )
    }

    #[test]
    fn no_more_tasks_live_than_may_and_what_is_refused_is_counted() {
        let (spawn, queue) = queued();
        let spawn = spawn.cap(2);
        let clone = spawn.clone();
        assert_eq!(spawn.spawn(async {}), Ok(()));
        assert_eq!(clone.spawn(async {}), Ok(()));
        assert_eq!(spawn.spawn(async {}), Err(Refused));
        assert_eq!((clone.live(), clone.refused()), (2, 1));
        queue.lock().unwrap().pop();
        assert_eq!(spawn.live(), 1);
        assert_eq!(spawn.spawn(async {}), Ok(()));
    }

    #[test]
    fn an_executor_that_panics_harms_nobody_and_keeps_no_place() {
        let spawn = Spawn::new(|_| panic!("in the executor")).cap(1);
        assert_eq!(spawn.spawn(async {}), Err(Refused));
        assert_eq!(spawn.spawn(async {}), Err(Refused));
        assert_eq!((spawn.live(), spawn.refused()), (0, 2));
    }

    #[test]
    fn a_task_that_panics_gives_its_place_back() {
        let (spawn, queue) = queued();
        spawn.spawn(async { panic!("in the task") }).unwrap();
        let mut task = queue.lock().unwrap().pop().unwrap();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut cx).is_ready()));
        assert!(polled.is_err());
        drop(task);
        assert_eq!(spawn.live(), 0);
    }

    #[test]
    fn outside_a_runtime_there_is_none_to_be_had() {
        assert_eq!(Spawn::current().unwrap_err(), NoRuntime);
    }

    #[tokio::test]
    async fn a_runtime_runs_what_it_is_given() {
        let (done, ended) = tokio::sync::oneshot::channel();
        let spawn = Spawn::current().unwrap();
        let task = async move { done.send(7).unwrap() };
        spawn.spawn(task).unwrap();
        assert_eq!(ended.await, Ok(7));
    }
}
