//! The breakers of all keys.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use buttress_core::bounded::{Evicting, Limits};
use buttress_core::circuit::State;
use buttress_core::clock::Clock;
use buttress_core::config::ConfigError;
use buttress_core::events::Events;
use buttress_core::protocol::Plain;
use buttress_core::verdict::By;

use super::handle::KeyedHandle;
#[cfg(doc)]
use super::handle::KeyedSnapshot;
use super::key::Key;
use super::layer::KeyedBreakerLayer;
use super::metrics::Retired;
use super::remembered::Remembered;
use super::slot::{Fresh, Slot};
use crate::breaker::Breaker;
use crate::config::Config;
use crate::handle::Event;
use crate::hot::Kept;

/// What a [`KeyedBreaker`] is set to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyedConfig {
    /// What the breaker of each key is set to, and the one that those without one share.
    pub breaker: Config,
    /// How many keys have a breaker of their own, and when an idle one goes.
    pub limits: Limits,
    /// So many keys, the first to come, have series of their own in the metrics; the others share those
    /// with `shared="other"`. 0: all of them do. Default 100.
    pub series: usize,
}

/// A [`Breaker`] for each key. Cheap to clone; all clones are the same breakers.
///
/// # What it promises
///
/// - No more breakers than [`Limits::cap`]. A key that finds no room shares the overflow breaker,
///   which protects the rest together and is counted (`buttress_series_overflow_total`): no call is
///   ever unprotected.
/// - A breaker goes when no call has asked for it during [`Limits::idle_after`]; not while a call is in
///   flight or somebody holds a handle of it, nor while an open time runs or somebody has set it by hand
///   to what not all are held in or made in. One whose windows hold failures, or that has a row of them,
///   stays six times as long: so does what has opened.
/// - What goes and is not closed, or has opened and not proved healthy since, is remembered: when its key
///   comes back the first call is a probe, as it would have been, and the next open time is no shorter. As
///   many keys are remembered as have room in the map ([`KeyedSnapshot::remembered`]); for one more the
///   one that went first is forgotten, and counted ([`KeyedSnapshot::forgotten`]).
/// - Keys that a client invents until they open fill the map for six idle times, and new keys share the
///   overflow breaker meanwhile: guard keys that anyone can invent by what they belong to, a host of a
///   known list or a tenant.
///
/// `tests/keyed.rs` proves both.
///
/// # What it costs
///
/// A look-up: one hash of the key, keyed at random, a read lock of one of 64 shards and a reference
/// count; about 30 ns among 100,000 keys of which a hundred are in use, and as much more as the
/// memory takes to bring what is in no cache: two lines of it, one after the other, the key's and its
/// breaker's (`cargo compare breaker`, `keyed/lookup`: where all 100,000 are asked in turn 690 ns, and a
/// plain map of as many values as large takes 360). A key takes about 2.1 KiB at the
/// defaults, 202 MiB for 100,000 of them (`cargo run --release -p buttress-breaker --example
/// keyed_cost`).
///
/// ```
/// use buttress_breaker::keyed::{ByHost, Host, KeyedBreaker, KeyedConfig};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breakers = KeyedBreaker::<Host>::new("egress", KeyedConfig::default())?;
/// let service = breakers.layer(ByHost).layer(tower::service_fn(|request: Request<()>| async move {
///     let status = if request.uri().host() == Some("down.test") { 500 } else { 200 };
///     Response::builder().status(status).body(http_body_util::Empty::<&[u8]>::new())
/// }));
/// let get = |uri: &str| service.clone().oneshot(Request::get(uri).body(()).unwrap());
///
/// for _ in 0..10 {
///     assert_eq!(get("http://down.test/").await?.status(), 500);
/// }
/// assert_eq!(get("http://down.test/").await?.status(), 503);
/// assert_eq!(get("http://up.test/").await?.status(), 200);
/// # Ok(())
/// # }
/// ```
pub struct KeyedBreaker<K>(Arc<Shared<K>>);

pub(super) struct Shared<K> {
    pub(super) name: Arc<str>,
    pub(super) map: Evicting<K, Slot>,
    /// What new breakers are like.
    template: RwLock<Arc<Template>>,
    clock: Clock,
    pub(super) series: usize,
    pub(super) cap: usize,
    pub(super) retired: Arc<Retired>,
    pub(super) remembered: Arc<Remembered<K>>,
    fresh: Arc<Fresh>,
    pub(super) events: Arc<Events<Event>>,
}

#[derive(Clone, Debug)]
struct Template {
    config: Config,
    /// The state that all are held in by hand, if any.
    held: Option<State>,
    /// Who said so last.
    by: Option<Arc<By>>,
}

impl Default for KeyedConfig {
    fn default() -> Self {
        Self {
            breaker: Config::default(),
            limits: Limits::default(),
            series: 100,
        }
    }
}

impl KeyedConfig {
    /// What the breaker of each key is set to.
    #[must_use]
    pub fn breaker(mut self, breaker: Config) -> Self {
        self.breaker = breaker;
        self
    }

    /// How many keys have a breaker of their own, and when an idle one goes.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// So many keys have series of their own in the metrics; 0: none.
    #[must_use]
    pub const fn series(mut self, series: usize) -> Self {
        self.series = series;
        self
    }

    /// Refuses what makes no sense, naming the fields and what would be right.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.limits.validate()?;
        self.breaker.validate()
    }
}

impl<K: Key> KeyedBreaker<K> {
    /// No breaker yet. `name` comes before the key in the name of each.
    pub fn new(name: impl Into<Arc<str>>, config: KeyedConfig) -> Result<Self, ConfigError> {
        let name = name.into();
        if name.is_empty() {
            let problem =
                "breakers without a name cannot be told from others; name what they guard";
            return Err(ConfigError::new("name", problem));
        }
        config.validate()?;
        let events = Arc::new(Events::new());
        let fresh = Arc::new(Fresh::new(config.breaker.start));
        let overflow = Slot {
            breaker: Breaker::kept(
                format!("{name}:overflow").into(),
                config.breaker.clone(),
                Some(Arc::clone(&events)),
                Kept::WhileInUse,
            )?,
            listed: true,
            fresh: Arc::clone(&fresh),
        };
        let retired = Arc::new(Retired::default());
        let retire = Arc::clone(&retired);
        let on_evict = move |slot: Slot| retire.add(&slot);
        let remembered = Arc::new(Remembered::new(config.limits.cap));
        let remember = Arc::clone(&remembered);
        let on_going = move |key: &K, slot: &Slot, now| {
            if let Some(circuit) = slot.memory(now) {
                remember.remember(key, slot.breaker.name(), circuit);
            }
        };
        Ok(Self(Arc::new(Shared {
            name,
            map: Evicting::new(config.limits, overflow, on_evict).on_going(on_going),
            clock: config.breaker.clock.clone(),
            template: RwLock::new(Arc::new(Template {
                config: config.breaker,
                held: None,
                by: None,
            })),
            series: config.series,
            cap: config.limits.cap,
            retired,
            remembered,
            fresh,
            events,
        })))
    }

    /// The breaker of `key`: its own, made now if it is new, or the overflow breaker.
    #[inline]
    pub fn get(&self, key: K) -> Breaker {
        let new = || self.0.clock.now();
        let mut made_like = None;
        let make = |key: &K| {
            let template = self.0.template();
            let slot = self.0.make(key, &template);
            made_like = Some((key.clone(), template));
            slot
        };
        let own = |slot: &Slot| slot.breaker.clone();
        let breaker = self.0.map.read_or_insert_with(key, new, make, own);
        if let Some((key, template)) = made_like {
            self.0.remembered.forget(&key);
            self.0.catch_up(&breaker, &template);
        }
        breaker
    }

    /// What comes before the key in the name of each.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// What reads all breakers and takes them in hand.
    pub fn handle(&self) -> KeyedHandle<K> {
        KeyedHandle::new(self.clone())
    }

    /// A layer that guards HTTP services with the breaker of each request's key.
    #[cfg(feature = "http")]
    pub fn layer<F>(&self, key: F) -> KeyedBreakerLayer<K, F> {
        KeyedBreakerLayer::new(self.clone(), key)
    }

    /// A layer that guards services of any kind with the breaker of each request's key.
    pub fn plain_layer<F>(&self, key: F) -> KeyedBreakerLayer<K, F, Plain> {
        KeyedBreakerLayer::plain(self.clone(), key)
    }

    pub(super) fn shared(&self) -> &Shared<K> {
        &self.0
    }
}

impl<K: Key> Shared<K> {
    /// Changes what new breakers are like, and those there are.
    pub(super) fn reconfigure(&self, config: &Config) -> Result<(), ConfigError> {
        config.validate()?;
        self.renew(|template| template.config = config.clone());
        self.each(|breaker, template| breaker.shared().reconfigure(template.config.clone()));
        Ok(())
    }

    /// Holds all breakers, those to come as well, in `state`, or lets go of them.
    pub(super) fn hold(&self, state: Option<State>, by: Option<&Arc<By>>) {
        self.renew(|template| (template.held, template.by) = (state, by.cloned()));
        self.remembered.forget_all();
        self.each(hold);
    }

    pub(super) fn now(&self) -> buttress_core::clock::Instant {
        self.clock.now()
    }

    /// Makes every breaker what the template says. Where somebody else changes that meanwhile they may have
    /// been here before: what it says last holds for all.
    fn each(&self, make_like: impl Fn(&Breaker, &Template)) {
        let follow = |breaker: &Breaker| loop {
            let template = self.template();
            make_like(breaker, &template);
            if Arc::ptr_eq(&template, &self.template()) {
                return;
            }
        };
        for (_, slot) in self.map.entries() {
            follow(&slot.breaker);
        }
        follow(&self.map.overflow().breaker);
    }

    #[cold]
    fn make(&self, key: &K, template: &Template) -> Slot {
        let name = name_of(&self.name, key);
        let common = Some(Arc::clone(&self.events));
        match Breaker::kept(name, template.config.clone(), common, Kept::WhileInUse) {
            Ok(breaker) => {
                if template.held.is_some() {
                    hold(&breaker, template);
                } else if let Some(circuit) = self.remembered.recall(key) {
                    breaker.recall(&circuit);
                }
                let listed = self.map.len() <= self.series;
                let fresh = Arc::clone(&self.fresh);
                Slot {
                    breaker,
                    listed,
                    fresh,
                }
            }
            // The template has been validated; but never unprotected.
            Err(_) => self.map.overflow().clone(),
        }
    }

    /// Whoever changed all breakers while this one was made did not find it.
    #[cold]
    fn catch_up(&self, breaker: &Breaker, made_like: &Arc<Template>) {
        let mut last = Arc::clone(made_like);
        loop {
            let now = self.template();
            if Arc::ptr_eq(&now, &last) {
                return;
            }
            breaker.shared().reconfigure(now.config.clone());
            // To let go of one that nobody holds would be to forget what it remembers.
            if now.held != last.held {
                hold(breaker, &now);
            }
            last = now;
        }
    }

    fn template(&self) -> Arc<Template> {
        let template = self.template.read();
        Arc::clone(&template.unwrap_or_else(PoisonError::into_inner))
    }

    fn renew(&self, change: impl FnOnce(&mut Template)) {
        let mut template = self
            .template
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut new = Template::clone(&template);
        change(&mut new);
        self.fresh.set(new.config.start, new.held);
        let old = std::mem::replace(&mut *template, Arc::new(new));
        drop(template);
        // It may hold the last of a rule of the user's, which goes under no lock.
        drop(old);
    }
}

fn hold(breaker: &Breaker, template: &Template) {
    let handle = breaker.handle().by(template.by.clone());
    match template.held {
        Some(State::ForcedOpen) => handle.force_open(),
        Some(State::ForcedClosed) => handle.force_closed(),
        Some(State::Observing) => handle.observe(),
        _ => handle.release(),
    };
}

/// About so many bytes of a key's text go into its breaker's name: a client may choose the key.
const NAMED_BY: usize = 128;

/// After the slash stands a key, and after no other sign: the overflow breaker's name is no key's. What
/// is cut ends in a hash of the whole, and is longer than what is not.
fn name_of(prefix: &str, key: &impl fmt::Display) -> Arc<str> {
    let key = key.to_string();
    match key.char_indices().find(|(at, _)| *at >= NAMED_BY) {
        Some((at, _)) => {
            let (cut, hash) = (key.get(..at).unwrap_or_default(), hash_of(&key));
            format!("{prefix}/{cut}…{hash:016x}").into()
        }
        None => format!("{prefix}/{key}").into(),
    }
}

/// The same in every process: a name should outlive a restart.
fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl<K> Clone for KeyedBreaker<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for KeyedBreaker<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreaker")
            .field("name", &self.0.name)
            .field("map", &self.0.map)
            .finish_non_exhaustive()
    }
}
