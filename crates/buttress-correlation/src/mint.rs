//! Making new IDs.

use std::fmt;
use std::sync::Arc;

use uuid::{NoContext, Timestamp, Uuid};

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
        // Without the shared counter: order within a millisecond is not worth a lock.
        Self::from_uuid(&Uuid::new_v7(Timestamp::now(NoContext)))
    }

    /// A new ID that tells nothing: a UUIDv4. Allocates nothing.
    pub fn mint_v4() -> Self {
        Self::from_uuid(&Uuid::new_v4())
    }
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
