//! Events on a channel per subscriber.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};

use tokio::sync::broadcast;

/// Publishes events to whoever listens.
///
/// A subscriber that falls more than [`CAPACITY`] events behind loses the oldest and is told how
/// many. Until someone subscribes nothing is allocated and no event is built. A subscriber whose waker
/// panics is not woken; whoever publishes, and the other subscribers, notice nothing.
#[derive(Debug)]
pub struct Events<T>(OnceLock<broadcast::Sender<T>>);

/// How many events a subscriber may fall behind before it loses the oldest.
pub const CAPACITY: usize = 256;

/// One subscriber's end. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription<T>(broadcast::Receiver<T>);

/// What a [`Subscription`] receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// The next event.
    Event(T),
    /// This many events were lost, because the subscriber was too slow.
    Lagged(u64),
}

impl<T: Clone> Events<T> {
    /// A publisher nobody listens to yet.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Publishes what `event` builds; it is not called when nobody listens.
    pub fn publish(&self, event: impl FnOnce() -> T) {
        if let Some(sender) = self.0.get()
            && sender.receiver_count() > 0
        {
            // An error says that the last subscriber has just left.
            let _ = sender.send(event());
        }
    }

    /// Listens from now on.
    pub fn subscribe(&self) -> Subscription<T> {
        Subscription(
            self.0
                .get_or_init(|| broadcast::channel(CAPACITY).0)
                .subscribe(),
        )
    }
}

impl<T: Clone> Default for Events<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone> Subscription<T> {
    /// The next event, or how many were lost; `None` when the publisher is gone.
    ///
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Received<T>> {
        let mut receiving = pin!(self.0.recv());
        let received = poll_fn(|cx| {
            let waker = Waker::from(Arc::new(Contained(cx.waker().clone())));
            receiving.as_mut().poll(&mut Context::from_waker(&waker))
        });
        match received.await {
            Ok(event) => Some(Received::Event(event)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Received::Lagged(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event if one is waiting.
    pub fn try_recv(&mut self) -> Option<Received<T>> {
        match self.0.try_recv() {
            Ok(event) => Some(Received::Event(event)),
            Err(broadcast::error::TryRecvError::Lagged(lost)) => Some(Received::Lagged(lost)),
            Err(_) => None,
        }
    }
}

/// A subscriber's waker, which runs where an event is published: what panics there is none of the
/// publisher's doing, and would leave the subscribers after it asleep.
struct Contained(Waker);

impl Wake for Contained {
    fn wake(self: Arc<Self>) {
        // With its end, which is somebody else's code as well.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            self.0.wake_by_ref();
            drop(self);
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in the waker")
        }
    }

    #[derive(Default)]
    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_waker_that_panics_keeps_neither_the_publisher_nor_the_other_subscribers() {
        let events = Events::new();
        let (mut first, mut bad, mut last) =
            (events.subscribe(), events.subscribe(), events.subscribe());
        let counts = Arc::new(Counts::default());
        let (good, panics) = (Arc::clone(&counts).into(), Arc::new(Panics).into());
        let mut receiving = [&mut first, &mut bad, &mut last].map(|each| Box::pin(each.recv()));
        for (each, waker) in receiving.iter_mut().zip([&good, &panics, &good]) {
            assert!(
                each.as_mut()
                    .poll(&mut Context::from_waker(waker))
                    .is_pending()
            );
        }
        events.publish(|| 1);
        assert_eq!(counts.0.load(Ordering::Relaxed), 2);
        for each in &mut receiving {
            let polled = each.as_mut().poll(&mut Context::from_waker(&good));
            assert!(polled.is_ready());
        }
    }

    #[test]
    fn no_event_is_built_while_nobody_listens() {
        let events = Events::new();
        events.publish(|| -> u32 { unreachable!() });
        drop(events.subscribe());
        events.publish(|| -> u32 { unreachable!() });
    }

    #[test]
    fn a_slow_subscriber_loses_the_oldest_and_is_told_how_many() {
        let events = Events::new();
        let mut slow = events.subscribe();
        (0..CAPACITY + 3).for_each(|n| events.publish(|| n));
        assert_eq!(slow.try_recv(), Some(Received::Lagged(3)));
        assert_eq!(slow.try_recv(), Some(Received::Event(3)));
    }
}
