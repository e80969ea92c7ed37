//! Making new IDs.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::CorrelationId;

/// How a new ID is made.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Mint {
    /// UUIDv7: sorts by the time it was made, and tells that time. From the system's wall clock and
    /// a generator of the thread; shares nothing between threads.
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
        match self {
            Self::UuidV7 => CorrelationId::mint(),
            Self::UuidV4 => CorrelationId::mint_v4(),
            Self::With(generate) => generate(),
        }
    }
}

impl CorrelationId {
    /// A new ID: a UUIDv7. Allocates nothing.
    #[inline]
    pub fn mint() -> Self {
        // Version and variant stand where they do in v4; the upper 48 bits are the time. Without a
        // shared counter: order within a millisecond is not worth a lock.
        const TIME: u128 = !(u128::MAX >> 48);
        const VERSION: u128 = 0xf << 76;
        let random = Uuid::new_v4().as_u128() & !(TIME | VERSION);
        let time = u128::from(unix_millis()) << 80;
        Self::from_uuid(time | 7 << 76 | random)
    }

    /// A new ID that tells nothing: a UUIDv4. Allocates nothing.
    #[inline]
    pub fn mint_v4() -> Self {
        Self::from_uuid(Uuid::new_v4().as_u128())
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "an identifier tells when it was made by the wall clock"
)]
fn unix_millis() -> u64 {
    use std::time::SystemTime;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or_default();
    now.as_secs() * 1000 + u64::from(now.subsec_millis())
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
    fn the_text_of_a_uuid_is_the_one_that_its_own_crate_writes() {
        for number in [0, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
            let expected = Uuid::from_u128(number).hyphenated().to_string();
            assert_eq!(CorrelationId::from_uuid(number).as_str(), expected);
        }
        for _ in 0..1_000 {
            let uuid = Uuid::new_v4();
            let id = CorrelationId::from_uuid(uuid.as_u128());
            assert_eq!(id.as_str(), uuid.hyphenated().to_string());
        }
    }

    #[test]
    fn a_minted_id_tells_the_time_it_was_made() {
        let before = unix_millis();
        let id = Uuid::parse_str(CorrelationId::mint().as_str()).unwrap();
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let millis = seconds * 1000 + u64::from(nanos) / 1_000_000;
        assert!((before..=unix_millis()).contains(&millis), "{millis}");
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
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
