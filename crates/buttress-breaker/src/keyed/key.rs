//! What keys are, and where they come from.

use std::fmt::Display;
use std::hash::Hash;

/// What can be a key: its text names the breaker in metrics, events and log lines. Different keys should
/// read differently: those that do not have breakers of their own, of one name.
///
/// What it reads is shown: in the label `key`, in events and in what is logged of them. A name, or a hash of it, is a key;
/// a token is none.
///
/// A key should hold what it needs and no more: one that keeps a slice of a request's buffer keeps
/// that buffer as long as its breaker lives.
pub trait Key: Eq + Hash + Clone + Display + Send + Sync + 'static {}

impl<K: Eq + Hash + Clone + Display + Send + Sync + 'static> Key for K {}

/// The key of a request. Implemented for every `Fn(&Request) -> Key`, and by `ByHost`.
pub trait KeyOf<R> {
    /// What it is.
    type Key: Key;

    /// The key of `request`. Called once for each request, under no lock; a panic of it is that
    /// request's alone.
    fn key_of(&self, request: &R) -> Self::Key;
}

impl<F, R, K: Key> KeyOf<R> for F
where
    F: Fn(&R) -> K,
{
    type Key = K;

    #[inline]
    fn key_of(&self, request: &R) -> K {
        self(request)
    }
}
