//! What threads share: the standard library's, or loom's where every interleaving is tried.

#[cfg(all(loom, test))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::AtomicU64};
#[cfg(not(all(loom, test)))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicU64};

/// A variable of each thread, and of each of loom's.
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
