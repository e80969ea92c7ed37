//! What threads share: the standard library's, or loom's where every interleaving is tried.

#[cfg(all(loom, test))]
pub(crate) use loom::sync::atomic::{AtomicU64, fence};
#[cfg(all(loom, test))]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(all(loom, test))]
pub(crate) use once::OnceLock;
#[cfg(not(all(loom, test)))]
pub(crate) use std::sync::atomic::{AtomicU64, fence};
#[cfg(not(all(loom, test)))]
pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock};

/// Variables of each thread, and of each of loom's.
#[cfg(not(all(loom, test)))]
macro_rules! in_every_thread {
    (static $name:ident: $type:ty = $init:expr) => {
        thread_local! { static $name: $type = const { $init }; }
    };
}
#[cfg(all(loom, test))]
macro_rules! in_every_thread {
    (static $name:ident: $type:ty = $init:expr) => {
        loom::thread_local! { static $name: $type = $init; }
    };
}

pub(crate) use in_every_thread;

/// loom has no `OnceLock`. This one synchronises as the standard library's does, and loom sees it.
#[cfg(all(loom, test))]
mod once {
    use std::sync::atomic::Ordering;

    use loom::sync::Mutex;
    use loom::sync::atomic::AtomicBool;

    pub(crate) struct OnceLock<T> {
        value: std::sync::OnceLock<T>,
        ready: AtomicBool,
        initializing: Mutex<()>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self {
                value: std::sync::OnceLock::new(),
                ready: AtomicBool::new(false),
                initializing: Mutex::new(()),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            let ready = self.ready.load(Ordering::Acquire);
            self.value.get().filter(|_| ready)
        }

        pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
            let alone = self.initializing.lock();
            let value = self.value.get_or_init(init);
            self.ready.store(true, Ordering::Release);
            drop(alone);
            value
        }
    }
}
