//! The guard that turns every exit into exactly one outcome.

use std::any::Any;
use std::error::Error;
use std::time::Duration;

use crate::deadline::DeadlineExceeded;
use crate::outcome::{FailureKind, Outcome, TransportFailure, Unsent};
use crate::readying::Waits;
use crate::{BoxError, reject::Rejected};

/// What is told, once, how an exchange ended: a permit, a sample, a probe's lease.
pub trait Settle {
    /// Whether an outcome that the head of a response decides is told at once (what guards must
    /// know early) or at the end of the body (what measures must see the end).
    const AT_HEAD: bool = true;

    /// Whether it wants to know of [waits](crate::readying) inside.
    const WAITS: bool = false;

    /// The exchange ended in `outcome`. Called exactly once for each admitted call.
    fn settle(self, outcome: Outcome);

    /// [`Settle::settle`] of what lies in `place`, where nothing is left. For what is too large to be
    /// moved out first: it is settled where it lies.
    #[inline]
    fn settle_in(place: &mut Option<Self>, outcome: Outcome)
    where
        Self: Sized,
    {
        if let Some(settle) = place.take() {
            settle.settle(outcome);
        }
    }

    /// The answer has begun, and well, and its end may be long in coming. Called at most once, before
    /// [`Settle::settle`].
    fn answered(&mut self) {}

    /// So many bytes of the answer's body have passed. Called for each of its frames of data, and not
    /// after [`Settle::settle`].
    fn data(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// The answer's body has said how long it is, and whoever reads it found nothing more of it. Called for
    /// each such poll, and not after [`Settle::settle`].
    fn awaited(&mut self) {}

    /// The exchange fails, and the upstream asks to be left alone for this long. Called at most once,
    /// before [`Settle::settle`].
    fn asked(&mut self, wait: Duration) {
        let _ = wait;
    }

    /// While the exchange was polled, or called for, so many [waits](crate::readying) began and ended. Told only if
    /// there were any and [`Settle::WAITS`] asks for it.
    fn readying(&mut self, waits: (u32, u32)) {
        let _ = waits;
    }

    /// The head of an HTTP response has come. Called at most once, before [`Settle::settle`].
    #[cfg(feature = "http")]
    fn head(&mut self, head: &crate::classify::Head<'_>) {
        let _ = head;
    }

    /// The body of an HTTP response ends with these trailers. Called at most once, before [`Settle::settle`], and not
    /// where the outcome was told earlier.
    #[cfg(feature = "http")]
    fn trailers(&mut self, trailers: &http::HeaderMap) {
        let _ = trailers;
    }
}

/// Settles what it holds on every exit: by [`Guard::settle`], or when it is dropped.
///
/// Dropped while the guarded code runs ([`Guard::enter`] was not matched by [`Guard::leave`]) it
/// settles as [`FailureKind::Panic`]: nothing else leaves a poll without returning from it. Dropped at
/// any other time it settles as [`Outcome::Abandoned`], or as was presumed ([`Guard::presume`]).
#[derive(Debug)]
pub struct Guard<S: Settle> {
    settle: Option<S>,
    inside: bool,
    when_dropped: Outcome,
}

impl<S: Settle> Guard<S> {
    /// Guards `settle`.
    pub const fn new(settle: S) -> Self {
        Self {
            settle: Some(settle),
            inside: false,
            when_dropped: Outcome::Abandoned,
        }
    }

    /// From here on the outcome is known, and only its time is open: a drop settles as `outcome`.
    pub const fn presume(&mut self, outcome: Outcome) {
        self.when_dropped = outcome;
    }

    /// Control passes to code that may panic: what is guarded, or what classifies it.
    pub const fn enter(&mut self) {
        self.inside = true;
    }

    /// Control has come back.
    pub const fn leave(&mut self) {
        self.inside = false;
    }

    /// The waits of this thread, if anybody wants to know: to be taken before control passes to what may
    /// wait, for [`Guard::tell_waits`].
    #[inline]
    pub fn waits() -> Option<Waits> {
        S::WAITS.then(Waits::so_far)
    }

    /// Tells what is guarded of the waits on this thread since `before`.
    #[inline]
    pub fn tell_waits(&mut self, before: Option<Waits>) {
        let Some(before) = before else { return };
        let now = Waits::so_far();
        if now != before
            && let Some(settle) = &mut self.settle
        {
            settle.readying(now.since(before));
        }
    }

    /// Whether the outcome is still open.
    pub const fn is_open(&self) -> bool {
        self.settle.is_some()
    }

    /// What is guarded, unless it has settled.
    pub const fn get_mut(&mut self) -> Option<&mut S> {
        self.settle.as_mut()
    }

    /// Settles, unless that has been done.
    #[inline]
    pub fn settle(&mut self, outcome: Outcome) {
        S::settle_in(&mut self.settle, outcome);
    }

    /// What is guarded, to be guarded by somebody else; `None` if it has settled.
    pub fn into_inner(mut self) -> Option<S> {
        self.settle.take()
    }

    #[inline(never)]
    fn settle_dropped(&mut self) {
        let outcome = if self.inside {
            Outcome::Failure(FailureKind::Panic)
        } else {
            self.when_dropped
        };
        self.settle(outcome);
    }

    /// Moves what is guarded to a new guard, as it is after [`Guard::leave`]; this one settles nothing any more.
    ///
    /// To take it is faster than to leave it and then to move it: the move would wait for the flag to be written.
    #[must_use]
    pub const fn take(&mut self) -> Self {
        Self {
            settle: self.settle.take(),
            inside: false,
            when_dropped: self.when_dropped,
        }
    }

    /// Tells what is guarded that the answer has begun, and well.
    pub fn answered(&mut self) {
        if let Some(settle) = &mut self.settle {
            settle.answered();
        }
    }

    /// Tells what is guarded of bytes that have passed.
    #[inline]
    pub fn data(&mut self, bytes: u64) {
        if let Some(settle) = &mut self.settle {
            settle.data(bytes);
        }
    }

    /// Tells what is guarded that more of the body is waited for.
    #[inline]
    pub fn awaited(&mut self) {
        if let Some(settle) = &mut self.settle {
            settle.awaited();
        }
    }

    /// Tells what is guarded for how long the upstream asks to be left alone.
    pub fn asked(&mut self, wait: Duration) {
        if let Some(settle) = &mut self.settle {
            settle.asked(wait);
        }
    }

    /// Passes the head of a response on to what is guarded.
    #[cfg(feature = "http")]
    pub fn head(&mut self, head: &crate::classify::Head<'_>) {
        if let Some(settle) = &mut self.settle {
            settle.head(head);
        }
    }

    /// Passes the trailers of a response on to what is guarded.
    #[cfg(feature = "http")]
    pub fn trailers(&mut self, trailers: &http::HeaderMap) {
        if let Some(settle) = &mut self.settle {
            settle.trailers(trailers);
        }
    }
}

impl<S: Settle> Drop for Guard<S> {
    /// Small where it has settled, as mostly: whatever drops a guard is inlined with it.
    #[inline]
    fn drop(&mut self) {
        if self.is_open() {
            self.settle_dropped();
        }
    }
}

/// The outcome that an error of any type stands for, by what its source chain carries.
///
/// [`DeadlineExceeded`] is a failure by deadline, [`Rejected`] (buttress's own refusal) is ignored, [`Unsent`] and
/// a refused connection are failures to connect,
/// [`TransportFailure`] and [`std::io::Error`] are failures of the transport, all else is a failed
/// answer. The chain can be followed through [`BoxError`] and through the types named here.
pub fn outcome_of_error<E: 'static>(error: &E) -> Outcome {
    let any: &dyn Any = error;
    if let Some(boxed) = any.downcast_ref::<BoxError>() {
        return outcome_of_chain(boxed.as_ref());
    }
    if any.is::<DeadlineExceeded>() {
        return Outcome::Failure(FailureKind::Deadline);
    }
    if any.is::<Rejected>() {
        return Outcome::Ignored;
    }
    if is_unsent(error) {
        return Outcome::Failure(FailureKind::Connect);
    }
    if any.is::<TransportFailure>() || any.is::<std::io::Error>() {
        return Outcome::Failure(FailureKind::Transport);
    }
    Outcome::Failure(FailureKind::Answer)
}

/// Whether an error of any type says that the request never reached an upstream: whether its source
/// chain, as [`outcome_of_error`] follows it, holds an [`Unsent`] or a refused connection.
pub fn is_unsent<E: 'static>(error: &E) -> bool {
    let any: &dyn Any = error;
    match any.downcast_ref::<BoxError>() {
        Some(boxed) => is_chain_unsent(boxed.as_ref()),
        None => any.is::<Unsent>() || any.downcast_ref().is_some_and(is_refused),
    }
}

fn is_chain_unsent(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Unsent>() || error.downcast_ref().is_some_and(is_refused) {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_refused(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionRefused
}

/// [`outcome_of_error`] for whatever can be followed.
pub(crate) fn outcome_of_chain(error: &(dyn Error + 'static)) -> Outcome {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<DeadlineExceeded>() {
            return Outcome::Failure(FailureKind::Deadline);
        }
        if error.is::<Rejected>() {
            return Outcome::Ignored;
        }
        if is_chain_unsent(error) {
            return Outcome::Failure(FailureKind::Connect);
        }
        if error.is::<TransportFailure>() || error.is::<std::io::Error>() {
            return Outcome::Failure(FailureKind::Transport);
        }
        next = error.source();
    }
    Outcome::Failure(FailureKind::Answer)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Writes down how each exchange ended.
    pub(crate) struct Log<'a>(pub(crate) &'a Mutex<Vec<Outcome>>);
    impl Settle for Log<'_> {
        fn settle(self, outcome: Outcome) {
            self.0.lock().unwrap().push(outcome);
        }
    }

    #[test]
    fn a_dropped_guard_settles_as_abandoned() {
        let log = Mutex::new(Vec::new());
        drop(Guard::new(Log(&log)));
        assert_eq!(*log.lock().unwrap(), [Outcome::Abandoned]);
    }

    #[test]
    fn a_guard_settles_once_however_often_it_is_asked() {
        let log = Mutex::new(Vec::new());
        let mut guard = Guard::new(Log(&log));
        guard.settle(Outcome::Success);
        guard.settle(Outcome::Slow);
        drop(guard);
        assert_eq!(*log.lock().unwrap(), [Outcome::Success]);
    }

    #[test]
    fn a_guard_dropped_from_inside_the_guarded_code_is_a_panic() {
        let log = Mutex::new(Vec::new());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut guard = Guard::new(Log(&log));
            guard.enter();
            panic!("in the guarded code");
        }));
        assert!(caught.is_err());
        assert_eq!(*log.lock().unwrap(), [Outcome::Failure(FailureKind::Panic)]);
    }

    #[test]
    fn a_guard_dropped_when_its_outcome_is_known_settles_as_that() {
        let log = Mutex::new(Vec::new());
        let mut guard = Guard::new(Log(&log));
        guard.presume(Outcome::Success);
        drop(guard.take());
        assert_eq!(*log.lock().unwrap(), [Outcome::Success]);
    }

    #[test]
    fn a_moved_guard_settles_in_its_new_place_alone() {
        let log = Mutex::new(Vec::new());
        let mut guard = Guard::new(Log(&log));
        let mut moved = guard.take();
        drop(guard);
        assert!(log.lock().unwrap().is_empty());
        moved.settle(Outcome::Success);
        assert_eq!(*log.lock().unwrap(), [Outcome::Success]);
    }

    #[test]
    fn an_error_is_judged_by_what_its_chain_carries() {
        let boxed: BoxError = Box::new(DeadlineExceeded::new());
        assert_eq!(
            outcome_of_error(&boxed),
            Outcome::Failure(FailureKind::Deadline)
        );
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let boxed_too: BoxError = Box::new(refused());
        for outcome in [
            outcome_of_error(&refused()),
            outcome_of_error(&Unsent::new()),
            outcome_of_error(&boxed_too),
        ] {
            assert_eq!(outcome, Outcome::Failure(FailureKind::Connect));
        }
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(
            outcome_of_error(&reset),
            Outcome::Failure(FailureKind::Transport)
        );
        assert_eq!(
            outcome_of_error(&"any"),
            Outcome::Failure(FailureKind::Answer)
        );
    }

    #[test]
    fn an_error_that_holds_a_refused_connection_is_of_a_request_that_was_never_sent() {
        use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};
        let io = |kind| std::io::Error::from(kind);
        let boxed = |error: std::io::Error| -> BoxError { Box::new(std::io::Error::other(error)) };
        assert!(is_unsent(&io(ConnectionRefused)) && !is_unsent(&io(ConnectionReset)));
        assert!(!is_unsent(&boxed(io(ConnectionReset))));
        let unsent: BoxError = Box::new(Unsent::new());
        assert!(is_unsent(&unsent) && is_unsent(&Unsent::new()));
        let refused: BoxError = Box::new(io(ConnectionRefused));
        assert!(is_unsent(&refused));
    }
}
