//! Where a call is counted.

use super::slot::Plan;

/// Where a call has been entered: the rings (8), a bit each, the number of the plan (8), whether it was
/// entered at the gate (1), and in which turn (32, the highest). One word: what is written in parts and read
/// as a whole is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entered(u64);

impl Entered {
    const AT_GATE: u64 = 1 << 16;

    /// In these rings.
    #[inline]
    pub(super) fn in_rings(rings: u8, plan: Plan) -> Self {
        Self(u64::from(rings) | u64::from(plan.number()) << 8)
    }

    /// At the gate, to be moved to all rings.
    #[inline]
    pub(super) fn at_gate(turn: u32, plan: Plan) -> Self {
        Self(u64::from(turn) << 32 | Self::AT_GATE | Self::in_rings(u8::MAX, plan).0)
    }

    /// The turn of the gate in which it was entered there.
    #[inline]
    pub(crate) fn turn(self) -> Option<u32> {
        (self.0 & Self::AT_GATE != 0).then_some((self.0 >> 32) as u32)
    }

    #[inline]
    pub(super) const fn rings(self) -> u8 {
        let [rings, ..] = self.0.to_le_bytes();
        rings
    }

    #[inline]
    pub(super) const fn plan(self) -> u8 {
        let [_, plan, ..] = self.0.to_le_bytes();
        plan
    }
}
