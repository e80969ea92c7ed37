//! HTTP or any service, told apart by type.
//!
//! A layer that exists for both takes a parameter that defaults to HTTP, `SomeLayer<P = Http>`. An
//! HTTP layer turns its own rejections into responses and follows bodies to their end; a plain one
//! gives a typed error and ends with the future.

use std::time::Duration;

/// Services of `http::Request` to `http::Response`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Http;

/// Services of anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain;

/// [`Http`] or [`Plain`]; sealed.
pub trait Protocol: sealed::Sealed + Copy + Send + Sync + 'static {
    /// What decides the outcome where the user names nothing else.
    type Classify: Clone + Default + Send + Sync + 'static;
}

/// Decides the outcome of a call to any service.
///
/// Implemented for every `Fn(Result<&T, &E>) -> Outcome`.
pub trait ClassifyResult<T, E> {
    /// The outcome of a call that returned `result`.
    fn classify(&self, result: Result<&T, &E>) -> crate::outcome::Outcome;

    /// For how long whoever gave `result`, a failure, asks to be left alone. By default that is in no result.
    fn wait(&self, result: Result<&T, &E>) -> Option<Duration> {
        let _ = result;
        None
    }
}

/// `Ok` is a success; an `Err` of any type is judged by [`crate::settle::outcome_of_error`].
///
/// What an error carries is seen if it is a [`crate::BoxError`]: then one that carries
/// [`crate::deadline::DeadlineExceeded`] is a failure by deadline, one that carries a rejection of
/// buttress's own is ignored, any other a failure. Of other types only those named there are known by
/// themselves, and everything else is a failure: where errors are nested, as those of one breaker in
/// another, [`ErrorChain`] sees more.
#[derive(Clone, Copy, Debug, Default)]
pub struct OkOrErr;

/// [`OkOrErr`] for errors that are [`std::error::Error`]: what they carry is looked for along their
/// chain of sources, whatever their type.
///
/// With it a rejection by a layer further in is charged to nobody, where that layer's error tells of
/// it as its source.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorChain;

impl<T, E: 'static> ClassifyResult<T, E> for OkOrErr {
    fn classify(&self, result: Result<&T, &E>) -> crate::outcome::Outcome {
        match result {
            Ok(_) => crate::outcome::Outcome::Success,
            Err(error) => crate::settle::outcome_of_error(error),
        }
    }
}

impl<T, E: std::error::Error + 'static> ClassifyResult<T, E> for ErrorChain {
    fn classify(&self, result: Result<&T, &E>) -> crate::outcome::Outcome {
        match result {
            Ok(_) => crate::outcome::Outcome::Success,
            Err(error) => crate::settle::outcome_of_chain(error),
        }
    }
}

impl<T, E, F> ClassifyResult<T, E> for F
where
    F: Fn(Result<&T, &E>) -> crate::outcome::Outcome,
{
    fn classify(&self, result: Result<&T, &E>) -> crate::outcome::Outcome {
        self(result)
    }
}

impl Protocol for Plain {
    type Classify = OkOrErr;
}

#[cfg(feature = "http")]
impl Protocol for Http {
    type Classify = crate::classify::HttpStatus;
}

/// Without the feature `http` the parameter's default still names a type; nothing can be built of it.
#[cfg(not(feature = "http"))]
impl Protocol for Http {
    type Classify = OkOrErr;
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
    impl Sealed for super::Http {}
    impl Sealed for super::Plain {}
}
