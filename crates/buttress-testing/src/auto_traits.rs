//! Proofs, by compiling, that a type has an auto trait.
//!
//! ```
//! use buttress_testing::auto_traits::{assert_send, assert_sync, is_send};
//! assert_send::<Vec<u8>>();
//! assert_sync::<Vec<u8>>();
//! is_send(&async { 1 });
//! ```
//!
//! ```compile_fail
//! buttress_testing::auto_traits::assert_send::<std::rc::Rc<()>>();
//! ```

/// Compiles if `T` is `Send`.
pub const fn assert_send<T: Send + ?Sized>() {}

/// Compiles if `T` is `Sync`.
pub const fn assert_sync<T: Sync + ?Sized>() {}

/// Compiles if `T` is `Unpin`.
pub const fn assert_unpin<T: Unpin + ?Sized>() {}

/// Compiles if `T` is `Clone`.
pub const fn assert_clone<T: Clone>() {}

/// Compiles if the type of `value`, which need not have a name, is `Send`.
pub const fn is_send<T: Send + ?Sized>(value: &T) {
    let _ = value;
}

/// Compiles if the type of `value`, which need not have a name, is `Sync`.
pub const fn is_sync<T: Sync + ?Sized>(value: &T) {
    let _ = value;
}
