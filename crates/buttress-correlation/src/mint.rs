//! Making new IDs.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use uuid::Uuid;

use crate::CorrelationId;
use crate::id::shared_header_value;
use crate::uuid_text::{Halves, UuidText};
use crate::v7;

/// How a new ID is made.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Mint {
    /// UUIDv7: sorts by the time it was made, and tells that time. From the system's wall clock and
    /// a generator of the thread; shares nothing between threads. Those that a thread makes in one millisecond
    /// follow one another at random distances: whoever has one may guess the next in some 2³² attempts.
    #[default]
    UuidV7,
    /// UUIDv4: random, tells nothing.
    UuidV4,
    /// The user's own generator.
    With(Arc<dyn Fn() -> CorrelationId + Send + Sync>),
}

impl Mint {
    /// Makes IDs by `generate`. If it panics, that request panics and no other.
    pub fn with(generate: impl Fn() -> CorrelationId + Send + Sync + 'static) -> Self {
        Self::With(Arc::new(generate))
    }

    /// A new ID.
    pub fn mint(&self) -> CorrelationId {
        let mut id = CorrelationId::BLANK;
        match self.uuid() {
            Ok(uuid) => id.spell(&uuid),
            Err(generate) => id = generate(),
        }
        id
    }

    /// Makes of `id` a new one, where it lies, and gives the value of a header that shows it, to be cloned.
    #[inline]
    pub(crate) fn mint_into(&self, id: &mut CorrelationId) -> HeaderValue {
        match self.uuid() {
            Ok(uuid) => {
                id.spell(&uuid);
                shared_header_value(uuid)
            }
            Err(generate) => {
                *id = generate();
                id.to_shared_header_value()
            }
        }
    }

    /// Whether nobody notices an ID that is made and not used.
    #[inline]
    pub(crate) const fn is_ours(&self) -> bool {
        !matches!(self, Self::With(_))
    }

    /// Does what takes long the first time, before a request has to wait for it.
    pub(crate) fn prepare(&self) {
        if let Self::UuidV7 = self {
            v7::prepare();
        }
    }

    /// The text of a new UUID, or else whoever makes IDs instead.
    #[inline]
    fn uuid(&self) -> Result<UuidText, &(dyn Fn() -> CorrelationId + Send + Sync)> {
        Ok(match self {
            Self::UuidV7 => v7::next(),
            Self::UuidV4 => UuidText::of(v4()),
            Self::With(generate) => return Err(&**generate),
        })
    }
}

impl CorrelationId {
    /// A new ID: a UUIDv7. Allocates nothing.
    #[inline]
    pub fn mint() -> Self {
        Mint::UuidV7.mint()
    }

    /// A new ID that tells nothing: a UUIDv4. Allocates nothing.
    #[inline]
    pub fn mint_v4() -> Self {
        Mint::UuidV4.mint()
    }
}

#[inline]
fn v4() -> Halves {
    Uuid::new_v4().as_u64_pair()
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UuidV7 => "UuidV7",
            Self::UuidV4 => "UuidV4",
            Self::With(_) => "With(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::clock::Clock;

    fn version(id: &CorrelationId) -> usize {
        Uuid::parse_str(id.as_str()).unwrap().get_version_num()
    }

    #[test]
    fn minted_ids_are_uuids_of_the_version_asked_for_and_differ() {
        for (mint, expected) in [(Mint::UuidV7, 7), (Mint::UuidV4, 4)] {
            let (one, other) = (mint.mint(), mint.mint());
            assert_eq!(version(&one), expected);
            assert_ne!(one, other);
        }
    }

    #[test]
    fn an_id_and_the_header_that_shows_it_are_minted_as_one_over_whatever_was_there() {
        let mine = Mint::with(|| "mine".parse().unwrap());
        for mint in [Mint::UuidV7, Mint::UuidV4, mine] {
            let mut id: CorrelationId = "x".repeat(128).parse().unwrap();
            let value = mint.mint_into(&mut id);
            assert_eq!(value, id.as_str());
            assert!(id.as_str().len() < 40 && !id.as_str().contains('x'));
        }
    }

    #[test]
    fn a_minted_id_tells_the_time_it_was_made() {
        let now = || Clock::monotonic().since_1970().as_millis();
        Mint::UuidV7.prepare();
        // Over the ends of some milliseconds.
        for _ in 0..20_000 {
            let before = now();
            let id = Uuid::parse_str(CorrelationId::mint().as_str()).unwrap();
            let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
            let millis = u128::from(seconds * 1000 + u64::from(nanos) / 1_000_000);
            assert!((before..=now()).contains(&millis), "{millis}");
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        }
    }

    #[test]
    fn the_users_generator_is_asked_each_time() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let next = AtomicU32::new(0);
        let mint = Mint::with(move || {
            let n = next.fetch_add(1, Ordering::Relaxed);
            format!("mine-{n}").parse().unwrap()
        });
        assert_eq!(mint.mint().as_str(), "mine-0");
        assert_eq!(mint.mint().as_str(), "mine-1");
    }
}
