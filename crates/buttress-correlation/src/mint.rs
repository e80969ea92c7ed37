//! Making new IDs.

use std::fmt;
use std::sync::Arc;

use uuid::{Builder, Uuid};

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
    pub fn mint() -> Self {
        // Without a shared counter: order within a millisecond is not worth a lock.
        let random = Uuid::new_v4();
        let (_, random) = random.as_bytes().split_at(6);
        let random = random.first_chunk().unwrap_or(&[0; 10]);
        Self::from_uuid(&Builder::from_unix_timestamp_millis(unix_millis(), random).into_uuid())
    }

    /// A new ID that tells nothing: a UUIDv4. Allocates nothing.
    pub fn mint_v4() -> Self {
        Self::from_uuid(&Uuid::new_v4())
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
