//! The text of a UUID, eight characters at a time.

/// The two halves of a UUID, the upper one first.
pub(crate) type Halves = (u64, u64);

/// Sixteen characters of lower-case hex, the first of each eight in the lowest byte.
pub(crate) type Digits = [u64; 2];

/// Lower-case hex in groups of 8, 4, 4, 4 and 12, which is the text of an ID.
#[derive(Debug)]
pub(crate) struct UuidText([[u8; WORD]; 5]);

const WORD: usize = 8;

impl UuidText {
    /// How long every such text is. The last word is only half full.
    pub(crate) const LEN: usize = 36;

    #[inline]
    pub(crate) fn of((high, low): Halves) -> Self {
        Self::joined(digits(high), digits(low))
    }

    /// The text of the UUID whose halves have these digits.
    #[inline]
    pub(crate) fn joined([a, b]: Digits, [c, d]: Digits) -> Self {
        const HYPHEN: u64 = b'-' as u64;
        const FOUR: u64 = 0xffff_ffff;
        // Little-endian: the first character is the lowest byte.
        let words = [
            a,
            HYPHEN | (b & FOUR) << 8 | HYPHEN << 40 | b >> 32 << 48,
            b >> 48 | HYPHEN << 16 | (c & FOUR) << 24 | HYPHEN << 56,
            c >> 32 | d << 32,
            d >> 32,
        ];
        Self(words.map(u64::to_le_bytes))
    }

    #[inline]
    pub(crate) const fn words(&self) -> &[[u8; WORD]] {
        &self.0
    }
}

impl AsRef<[u8]> for UuidText {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.0.as_flattened().get(..Self::LEN).unwrap_or_default()
    }
}

/// The digits of half a UUID.
#[inline]
pub(crate) const fn digits(half: u64) -> Digits {
    #[expect(clippy::cast_possible_truncation, reason = "the other word")]
    [hex((half >> 32) as u32), hex(half as u32)]
}

/// The eight digits of `number` in lower-case hex, the first of them in the lowest byte.
#[inline]
const fn hex(number: u32) -> u64 {
    // Each digit into a byte of its own, the first one highest.
    let wide = number as u64;
    let wide = (wide | wide << 16) & 0x0000_ffff_0000_ffff;
    let wide = (wide | wide << 8) & 0x00ff_00ff_00ff_00ff;
    let wide = (wide | wide << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (wide + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    let digits = wide + 0x3030_3030_3030_3030 + letters * (b'a' - b'0' - 10) as u64;
    digits.swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_text_of_a_uuid_is_the_one_that_its_own_crate_writes() {
        let known = [0, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210];
        let known = known.into_iter().map(Uuid::from_u128);
        for uuid in known.chain((0..1_000).map(|_| Uuid::new_v4())) {
            let text = UuidText::of(uuid.as_u64_pair());
            assert_eq!(text.as_ref(), uuid.hyphenated().to_string().as_bytes());
        }
    }
}
