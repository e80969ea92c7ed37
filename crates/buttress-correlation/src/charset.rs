//! Which bytes an ID may have, judged sixteen at a time.

/// So many bytes are read, judged and written together: the width that every 64-bit processor has.
pub(crate) const WIDE: usize = 16;

/// Whether a byte of `chunk` is one that no ID has.
#[inline]
pub(crate) fn has_foreign(chunk: &[u8]) -> bool {
    // Without an early exit, so that sixteen are judged side by side; and hex digits defeat branch
    // prediction.
    chunk
        .iter()
        .fold(false, |foreign, &byte| foreign | !is_allowed(byte))
}

/// Whether an ID may have `byte`: three runs of ASCII and three single bytes.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without a branch, sixteen bytes are judged at once"
)]
#[inline]
const fn is_allowed(byte: u8) -> bool {
    is_in(byte, b'-', b':')
        | is_in(byte, b'@', b'Z')
        | is_in(byte, b'a', b'z')
        | (byte == b'+')
        | (byte == b'=')
        | (byte == b'_')
}

#[inline]
const fn is_in(byte: u8, first: u8, last: u8) -> bool {
    byte.wrapping_sub(first) <= last - first
}
