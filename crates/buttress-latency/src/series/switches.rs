//! What is measured of an exchange, as bits that one load reads.

use std::sync::atomic::{AtomicU8, Ordering};

/// A set of switches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switches(u8);

/// Read by every exchange, written when the configuration changes.
pub(crate) struct LiveSwitches(AtomicU8);

impl Switches {
    /// How long callers wait for the service to be ready.
    pub(crate) const WAITING: Self = Self(1);
    /// The time to the head of the response.
    pub(crate) const HEAD: Self = Self(1 << 1);
    /// The time to the end of the body.
    pub(crate) const END: Self = Self(1 << 2);
    /// The answers are long-lived streams.
    pub(crate) const STREAMING: Self = Self(1 << 3);
    /// The bodies of responses are counted.
    pub(crate) const RESPONSE_SIZES: Self = Self(1 << 4);
    /// The requests come over TLS.
    pub(crate) const TLS: Self = Self(1 << 5);
    /// The route has objectives.
    pub(crate) const OBJECTIVES: Self = Self(1 << 6);
    /// Somebody is shown each exchange.
    pub(crate) const OBSERVED: Self = Self(1 << 7);

    /// All three times.
    pub(crate) const TIMES: Self = Self(Self::WAITING.0 | Self::HEAD.0 | Self::END.0);

    #[inline]
    pub(crate) const fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    /// This set with `one` in it, or without.
    pub(crate) const fn set(self, one: Self, on: bool) -> Self {
        Self(if on { self.0 | one.0 } else { self.0 & !one.0 })
    }
}

impl LiveSwitches {
    pub(crate) const fn new(switches: Switches) -> Self {
        Self(AtomicU8::new(switches.0))
    }

    #[inline]
    pub(crate) fn get(&self) -> Switches {
        Switches(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, switches: Switches) {
        self.0.store(switches.0, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Switches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            ("waiting", Self::WAITING),
            ("head", Self::HEAD),
            ("end", Self::END),
            ("streaming", Self::STREAMING),
            ("response_sizes", Self::RESPONSE_SIZES),
            ("tls", Self::TLS),
            ("objectives", Self::OBJECTIVES),
            ("observed", Self::OBSERVED),
        ];
        let on = names.iter().filter(|(_, one)| self.has(*one));
        f.debug_set().entries(on.map(|(name, _)| name)).finish()
    }
}

impl std::fmt::Debug for LiveSwitches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}
