//! Probes that cost no user anything: a copy of a request goes to whoever is in doubt, in the background, and
//! the request itself to an endpoint that is well.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use buttress_core::classify::ClassifyHttp;
use buttress_core::clock::{Clock, Instant};
use buttress_core::replay::Replayable;
use buttress_core::spawn::Spawn;
use http::{Request, Response};
use http_body::Body;
use tokio::sync::watch;
use tower_service::Service;

use crate::background::caught;
use crate::copied::{self, read};
use crate::future::ResponseFuture;
use crate::pool::{Pick, Pool};
use crate::shared::Shared;

/// An answer to a copy is read for so long at most: a stream of events ends some day, or never.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
/// For so long endpoints that are due a probe wait for a request that can be copied, before one that
/// cannot is the probe.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// For so long whoever is shunned waits for a copy, before users' requests are to show whether it fails on.
const HOPE: Duration = Duration::from_secs(1);

/// How a router finds out whether an endpoint is well again: [`ByUsers`] or [`ByCopies`]. Sealed.
pub trait Probing<S, C, B>: sealed::Sealed {
    /// Where `request` goes, after what else was to be done.
    #[doc(hidden)]
    fn pick(
        &self,
        pool: sealed::Of<'_, S>,
        classify: &C,
        request: &Request<B>,
    ) -> sealed::Picked<S>
    where
        S: Clone;
}

/// A user's request is the probe. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByUsers;

/// A copy of a user's request is the probe, if that request is safe (RFC 9110 §9.2.1) and without a body; see
/// [`HealthRouter::hedged`](crate::HealthRouter::hedged).
#[derive(Clone)]
pub struct ByCopies(Arc<Copies>);

struct Copies {
    spawn: Spawn,
    shared: Arc<Shared>,
    /// Its end is that of all copies under way.
    ends: watch::Sender<()>,
    /// Since when none came that could be copied, as seen first while somebody was due; 0 if the last could.
    none_since: AtomicU64,
    /// A copy was dropped before it was run.
    lost: Arc<AtomicBool>,
}

impl Drop for Copies {
    fn drop(&mut self) {
        if !self.spawn.is_off() {
            self.shared.peers.set_looked_at(false);
        }
    }
}

/// Tells whether a copy is run, or dropped before.
struct Fate {
    lost: Arc<AtomicBool>,
    shared: Arc<Shared>,
    has_begun: bool,
}

impl Fate {
    fn begins(&mut self) {
        self.has_begun = true;
        self.shared.peers.set_looked_at(true);
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        if !self.has_begun {
            self.lost.store(true, Ordering::Relaxed);
            self.shared.peers.set_looked_at(false);
        }
    }
}

/// What became of the thought to send a copy.
enum Sent {
    /// It was sent, or need not be.
    Enough,
    /// There is no room for it.
    Refused,
}

impl ByCopies {
    /// Of the pool that shares this.
    pub(crate) fn on(spawn: Spawn, shared: Arc<Shared>) -> Self {
        let ends = watch::Sender::new(());
        if !spawn.is_off() {
            // Until it shows that they do not.
            shared.peers.set_looked_at(true);
        }
        Self(Arc::new(Copies {
            spawn,
            shared,
            ends,
            none_since: AtomicU64::new(0),
            lost: Arc::default(),
        }))
    }
}

impl<S, C, B> Probing<S, C, B> for ByUsers {
    #[inline]
    fn pick(&self, of: sealed::Of<'_, S>, _: &C, request: &Request<B>) -> sealed::Picked<S>
    where
        S: Clone,
    {
        let sealed::Of(pool, now) = of;
        sealed::Picked(pool.pick(now, |affinity| affinity.key_of(request)))
    }
}

impl<S, C, B, ResBody> Probing<S, C, B> for ByCopies
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    C: ClassifyHttp<S::Error> + Clone + Send + 'static,
    B: Replayable + Send + 'static,
    ResBody: Body + Send + 'static,
{
    #[inline]
    fn pick(&self, of: sealed::Of<'_, S>, classify: &C, request: &Request<B>) -> sealed::Picked<S> {
        let sealed::Of(pool, now) = of;
        if self.0.spawn.is_off() {
            return ByUsers.pick(of, classify, request);
        }
        let probe = if pool.is_copy_due(now) {
            self.look_after(pool, now, classify, request)
        } else {
            self.0.heed(request);
            None
        };
        let ordinary = || pool.pick_ordinary(now, |affinity| affinity.key_of(request));
        sealed::Picked(probe.or_else(ordinary))
    }
}

impl ByCopies {
    /// Sends a copy to whoever is due one; `request` itself goes there if it has to.
    #[cold]
    fn look_after<S, C, B, ResBody>(
        &self,
        pool: &Pool<S>,
        now: Instant,
        classify: &C,
        request: &Request<B>,
    ) -> Option<Pick<S>>
    where
        S: Service<Request<B>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        C: ClassifyHttp<S::Error> + Clone + Send + 'static,
        B: Replayable + Send + 'static,
        ResBody: Body + Send + 'static,
    {
        if !can_be_copied(request) {
            let waited = self.0.waited(now);
            if waited >= HOPE {
                self.0.shared.peers.set_looked_at(false);
            }
            let in_vain = waited >= PATIENCE;
            return in_vain.then(|| in_place_of_a_copy(pool, now)).flatten();
        }
        self.0.none_since.store(0, Ordering::Relaxed);
        // A share of the requests, as it would have anyway: who is back must not be overrun.
        if !pool.is_its_turn() {
            return None;
        }
        // Extensions are cloned by their own code, and so are the classifier and the service: what panics there is no
        // harm to the request itself.
        let sent = unless_it_panics(|| {
            copied::copy(request).map(|copy| self.send(pool, now, classify.clone(), copy))
        });
        match sent.flatten() {
            Some(Sent::Enough) => None,
            // Who is out has to be asked all the same.
            Some(Sent::Refused) | None => {
                unless_it_panics(|| in_place_of_a_copy(pool, now)).flatten()
            }
        }
    }

    fn send<S, C, B, ResBody>(
        &self,
        pool: &Pool<S>,
        now: Instant,
        classify: C,
        copy: Request<B>,
    ) -> Sent
    where
        S: Service<Request<B>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        C: ClassifyHttp<S::Error> + Clone + Send + 'static,
        B: Send + 'static,
        ResBody: Body + Send + 'static,
    {
        // One was dropped by the executor, and so may be all.
        if self.0.lost.swap(false, Ordering::Relaxed) {
            return Sent::Refused;
        }
        let Some((mut pick, lasts)) = pool.pick_for_copy(now) else {
            return Sent::Enough;
        };
        pick.permit.is_of_a_copy();
        let (clock, ends) = (pool.shared.clock.clone(), self.0.ends.subscribe());
        // The service is called in the task: whatever it does there, no user waits for it.
        let call = ResponseFuture::send_when_polled(pick, copy, classify);
        let fate = Fate {
            lost: Arc::clone(&self.0.lost),
            shared: Arc::clone(&self.0.shared),
            has_begun: false,
        };
        // A copy that is not run gives its lease back.
        match self.0.spawn.spawn(run(call, fate, ends, clock, lasts)) {
            Ok(()) => Sent::Enough,
            Err(_) => Sent::Refused,
        }
    }
}

impl Copies {
    /// A request that can be copied ends the wait for one, whether or not somebody is due.
    #[inline]
    fn heed<B: Replayable>(&self, request: &Request<B>) {
        if self.none_since.load(Ordering::Relaxed) != 0 && can_be_copied(request) {
            self.none_since.store(0, Ordering::Relaxed);
        }
    }

    /// For how long none has come that can be copied. None is now.
    fn waited(&self, now: Instant) -> Duration {
        let order = Ordering::Relaxed;
        let first = (self.none_since).compare_exchange(0, now.as_nanos().max(1), order, order);
        let since = first.map_or_else(Instant::from_nanos, |_| now);
        now.saturating_since(since)
    }
}

/// Sends a copy and reads its answer, until there is enough of it, its time is over or the last router gone.
async fn run<S, B, C, ResBody>(
    call: ResponseFuture<S, B, C>,
    mut fate: Fate,
    mut ends: watch::Receiver<()>,
    clock: Clock,
    lasts: Duration,
) where
    S: Service<Request<B>, Response = Response<ResBody>>,
    C: ClassifyHttp<S::Error>,
    ResBody: Body,
{
    // Of the last router's copies nothing is to be expected any more.
    if ends.has_changed().is_err() {
        return;
    }
    fate.begins();
    let mut work = pin!(caught(answered(call, &clock)));
    let (mut over, mut late) = (pin!(ends.changed()), pin!(clock.sleep(lasts)));
    poll_fn(|cx| {
        if over.as_mut().poll(cx).is_ready() || work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        late.as_mut().poll(cx)
    })
    .await;
}

async fn answered<S, B, C, ResBody>(call: ResponseFuture<S, B, C>, clock: &Clock)
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    C: ClassifyHttp<S::Error>,
    ResBody: Body,
{
    let Ok(response) = call.await else { return };
    let mut read = pin!(read(response.into_body()));
    let mut late = pin!(clock.sleep(LONG_ENOUGH));
    poll_fn(|cx| {
        if read.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        late.as_mut().poll(cx)
    })
    .await;
}

/// Whether a copy of a request may be made without harm: it asks for nothing to be done, and has no body.
/// An idempotent one that does something is not copied: the first to come would change what the other is
/// answered. Nor is a handshake, of which there is but one connection.
fn can_be_copied<B: Replayable>(request: &Request<B>) -> bool {
    request.method().is_safe() && copied::can_be_copied(request)
}

/// A probe that a user waits for.
fn in_place_of_a_copy<S: Clone>(pool: &Pool<S>, now: Instant) -> Option<Pick<S>> {
    let mut pick = pool.pick_probe(now)?;
    pick.permit.is_in_place_of_a_copy();
    Some(pick)
}

/// What somebody else's code gives, unless it panics.
fn unless_it_panics<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

impl fmt::Debug for ByCopies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByCopies")
            .field("spawn", &self.0.spawn)
            .finish_non_exhaustive()
    }
}

pub(crate) mod sealed {
    use std::sync::Arc;

    use buttress_core::clock::Instant;

    use crate::pool::{Pick, Pool};

    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
    impl Sealed for super::ByUsers {}
    impl Sealed for super::ByCopies {}

    /// The pool, and the time.
    #[expect(unnameable_types, reason = "nobody else has one")]
    #[derive(Debug)]
    pub struct Of<'a, S>(pub(crate) &'a Arc<Pool<S>>, pub(crate) Instant);

    /// Where a request goes.
    #[expect(unnameable_types, reason = "nobody else has one")]
    #[derive(Debug)]
    pub struct Picked<S>(pub(crate) Option<Pick<S>>);
}
