//! Which bytes an ID may have, judged sixteen at a time.

/// So many bytes are read, judged and written together: the width that every 64-bit processor has.
const WIDE: usize = 16;

/// All of a chunk but its last byte, which no tail has.
pub(crate) const KEPT: u128 = u128::MAX >> 8;

/// `rest`, the last bytes of `bytes`, and after them some that an ID may have too.
#[inline]
pub(crate) fn tail(bytes: &[u8], rest: &[u8]) -> [u8; WIDE] {
    const FILL: u128 = u128::from_le_bytes([b'0'; WIDE]);
    let Some(last) = bytes.last_chunk() else {
        let mut chunk = [b'0'; WIDE];
        for (room, &byte) in chunk.iter_mut().zip(rest) {
            *room = byte;
        }
        return chunk;
    };
    // One wide read, of which the bytes that were in the chunk before are shifted out.
    let before = 8 * (WIDE - rest.len());
    let filled = u128::from_le_bytes(*last) >> before | FILL << (128 - before);
    filled.to_le_bytes()
}

#[inline]
pub(crate) fn has_foreign(chunk: &[u8; WIDE]) -> bool {
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
