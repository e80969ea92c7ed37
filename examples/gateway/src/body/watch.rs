//! What whoever waits for an upstream's answer has to know of the upload.

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use buttress::core::clock::{Clock, Instant};

use super::request::UploadError;

/// Whether an upload moves, whether it waits for its client, and whether the client broke it off.
///
/// An answer is not late while the body is still on its way. Where the body does not move, it is
/// the client that is waited for if the upload was asked and had nothing, and the upstream if
/// nobody asks; a client that stops or breaks off is not the upstream's failure.
#[derive(Clone, Debug)]
pub struct UploadWatch {
    state: Arc<UploadState>,
}

#[derive(Debug)]
struct UploadState {
    moves: AtomicU32,
    failure: AtomicU8,
    waits: AtomicBool,
    pause: Duration,
    /// Where it may end at any time, and its client may leave without a word.
    stillness: Option<Stillness>,
}

impl UploadWatch {
    /// Of an upload that may pause for `pause`.
    pub(super) fn new(pause: Duration, stillness: Option<Stillness>) -> Self {
        Self {
            state: Arc::new(UploadState {
                moves: AtomicU32::new(0),
                failure: AtomicU8::new(0),
                waits: AtomicBool::new(false),
                pause,
                stillness,
            }),
        }
    }

    /// Counts frames; it is only ever compared with an earlier count.
    pub fn moves(&self) -> u32 {
        self.state.moves.load(Relaxed)
    }

    /// Whether the next frame was asked for and is still the client's to send.
    pub fn waits_for_client(&self) -> bool {
        self.state.waits.load(Acquire)
    }

    /// Whether the client has long sent what it had to say, as far as can be told, and waits for the answer itself.
    pub(super) fn waits_for_answer(&self) -> bool {
        let stillness = self.state.stillness.as_ref();
        self.waits_for_client() && stillness.is_some_and(Stillness::is_long)
    }

    /// How the upload failed, if it did.
    pub fn failure(&self) -> Option<UploadError> {
        match self.state.failure.load(Relaxed) {
            1 => Some(UploadError::TooLarge),
            2 => Some(UploadError::TooSlow),
            3 => Some(UploadError::Broken),
            4 => Some(UploadError::Superseded),
            _ => None,
        }
    }

    pub(super) fn waiting(&self) {
        if let Some(stillness) = &self.state.stillness
            && !self.waits_for_client()
        {
            stillness.begin();
        }
        self.state.waits.store(true, Release);
    }

    pub(super) fn moved(&self) {
        self.state.moves.fetch_add(1, Relaxed);
        self.rests();
    }

    /// Nobody asks any more. What was stored before is seen by whoever sees this.
    pub(super) fn rests(&self) {
        self.state.waits.store(false, Release);
    }

    pub(super) fn failed(&self, error: UploadError) -> UploadError {
        let code = match error {
            UploadError::TooLarge => 1,
            UploadError::TooSlow => 2,
            UploadError::Broken => 3,
            UploadError::Superseded => 4,
        };
        self.state.failure.store(code, Relaxed);
        self.rests();
        error
    }
}

/// Where who drops an exchange finds its upload, once that has begun. In the extensions of a request until then.
#[derive(Clone, Debug, Default)]
pub(crate) struct UploadSlot(Arc<OnceLock<UploadWatch>>);

impl UploadSlot {
    pub(super) fn fill(&self, upload: &UploadWatch) {
        drop(self.0.set(upload.clone()));
    }

    /// The client has left: whether it was waited for, and so has broken its upload off. From now on that has failed.
    ///
    /// Not if it had long sent what it had to say, and waited for an answer itself.
    pub(crate) fn breaks_off(&self) -> bool {
        let Some(upload) = self.0.get() else {
            return false;
        };
        let awaited = upload.waits_for_client() && !upload.waits_for_answer();
        if awaited && upload.failure().is_none() {
            upload.failed(UploadError::Broken);
        }
        upload.failure().is_some()
    }
}

/// Since when an upload that does not say how long it is has nothing more to send.
///
/// Such a one may be all that its client has to say for now, who waits for the answer with it open, as calls of gRPC do.
#[derive(Debug)]
pub(super) struct Stillness {
    clock: Clock,
    begun: Instant,
    /// Nanoseconds of the clock.
    since: AtomicU64,
}

impl Stillness {
    /// Of an upload that begins.
    pub(super) fn new(clock: Clock) -> Self {
        let begun = clock.now();
        let since = AtomicU64::new(begun.as_nanos());
        Self {
            clock,
            begun,
            since,
        }
    }

    fn begin(&self) {
        self.since.store(self.clock.now().as_nanos(), Relaxed);
    }

    /// At least as long as it moved before: then the wait for the answer is half of the request's age or more.
    fn is_long(&self) -> bool {
        let since = Instant::from_nanos(self.since.load(Relaxed));
        self.clock.now().saturating_since(since) >= since.saturating_since(self.begun)
    }
}

/// Whether an answer that did not come within a wait is excused by the upload.
#[derive(Debug, Default)]
pub(crate) struct Excuse {
    moves: u32,
    stalls: u32,
}

impl Excuse {
    /// After a full `wait`: whether another one is due, as the body moved or its client is waited
    /// for.
    ///
    /// A client that stops is cut by the upload's own limit. Where that is long past, nobody polls
    /// the upload any more, and it excuses nothing.
    pub(crate) fn holds(&mut self, upload: &UploadWatch, wait: Duration) -> bool {
        // Before the count: a frame that comes between the two is seen as one or the other.
        let waits = upload.waits_for_client();
        let moves = upload.moves();
        if moves != self.moves {
            *self = Self { moves, stalls: 0 };
            return true;
        }
        self.stalls = self.stalls.saturating_add(1);
        let waited = wait.saturating_mul(self.stalls.saturating_sub(2));
        waits && !wait.is_zero() && waited <= upload.state.pause
    }
}

#[cfg(test)]
mod tests {
    use buttress::core::clock::ManualClock;

    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    fn upload() -> UploadWatch {
        UploadWatch::new(Duration::from_secs(5), None)
    }

    #[test]
    fn an_upload_that_nobody_asks_excuses_nothing() {
        let (upload, mut excuse) = (upload(), Excuse::default());
        assert!(!excuse.holds(&upload, WAIT));
        upload.moved();
        assert!(excuse.holds(&upload, WAIT));
        assert!(!excuse.holds(&upload, WAIT));
    }

    #[test]
    fn a_client_that_is_waited_for_excuses_until_its_own_limit_is_past() {
        let (upload, mut excuse) = (upload(), Excuse::default());
        upload.waiting();
        let waits = (0..100).take_while(|_| excuse.holds(&upload, WAIT)).count();
        assert_eq!(waits, 7);
        upload.moved();
        upload.waiting();
        assert!(excuse.holds(&upload, WAIT));
    }

    #[test]
    fn an_upload_that_failed_or_is_dropped_waits_for_nobody() {
        let (upload, mut excuse) = (upload(), Excuse::default());
        upload.waiting();
        upload.failed(UploadError::TooSlow);
        assert!(!excuse.holds(&upload, WAIT));
        upload.waiting();
        upload.rests();
        assert!(!excuse.holds(&upload, WAIT));
    }

    #[test]
    fn whoever_leaves_breaks_off_only_an_upload_that_waits_for_him() {
        let (slot, upload) = (UploadSlot::default(), upload());
        assert!(!slot.breaks_off(), "nothing has begun");
        slot.fill(&upload);
        assert!(!slot.breaks_off(), "nobody asks");
        upload.waiting();
        upload.moved();
        assert!(!slot.breaks_off());
        upload.waiting();
        assert!(slot.breaks_off());
        assert_eq!(upload.failure(), Some(UploadError::Broken));
        upload.failed(UploadError::TooSlow);
        assert!(slot.breaks_off());
        assert_eq!(upload.failure(), Some(UploadError::TooSlow));
    }

    #[test]
    fn whoever_leaves_an_open_upload_after_it_moved_for_less_time_than_not_waited_for_the_answer() {
        for (still, broken) in [(0, true), (2999, true), (3000, false), (9000, false)] {
            let time = ManualClock::new();
            time.advance(WAIT);
            let stillness = Stillness::new(time.clock());
            let upload = UploadWatch::new(Duration::from_secs(5), Some(stillness));
            let slot = UploadSlot::default();
            slot.fill(&upload);
            for _ in 0..3 {
                upload.waiting();
                time.advance(WAIT);
                upload.moved();
            }
            upload.waiting();
            time.advance(Duration::from_millis(still));
            // Asked again, it is as still as it was.
            upload.waiting();
            assert_eq!(slot.breaks_off(), broken, "after {still} ms");
            assert_eq!(upload.failure().is_some(), broken);
        }
    }

    #[test]
    fn a_wait_of_no_length_ends_at_once() {
        let (upload, mut excuse) = (upload(), Excuse::default());
        upload.waiting();
        assert!(!excuse.holds(&upload, Duration::ZERO));
    }
}
