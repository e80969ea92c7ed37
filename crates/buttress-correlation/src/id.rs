//! The ID itself: parsed once, valid ever after.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use bytes::Bytes;
use http::HeaderValue;

use crate::InvalidId;
use crate::charset::{WIDE, has_foreign};
use crate::uuid_text::UuidText;

/// The longest ID that is accepted, in bytes.
pub const MAX_LEN: usize = 128;

/// A correlation ID: 1 to [`MAX_LEN`] bytes of `[A-Za-z0-9._:+/=@-]`.
///
/// It is held inline: making, cloning and comparing one allocates nothing. UUIDs, ULIDs, W3C trace
/// IDs and what common routers mint all fit. A value of this type can be put into a header, a log
/// line or a URL path segment's value as it is: there is nothing in it to escape in JSON or logfmt.
///
/// ```
/// use buttress_correlation::{CorrelationId, InvalidId};
///
/// let id: CorrelationId = "order-42/retry=1".parse()?;
/// assert_eq!(id.as_str(), "order-42/retry=1");
/// assert_eq!("a b".parse::<CorrelationId>(), Err(InvalidId::Charset));
/// # Ok::<(), InvalidId>(())
/// ```
#[derive(Clone)]
// In 128 bytes, and not one more, written and moved sixteen at a time, so that no copy is a call and
// none waits for smaller writes before it.
#[repr(align(16))]
pub struct CorrelationId {
    // The last byte is the 128th of the ID, or else SHORT and the ID's length: no byte of an ID has
    // the high bit. What is between the ID's end and the last byte means nothing.
    bytes: [u8; MAX_LEN],
}

/// Marks a last byte that is the length.
const SHORT: u8 = 0x80;

/// The valid ID that a client sent to a service which does not believe clients. It stands in the
/// request's extensions beside the [`CorrelationId`] that was minted, for a log line or an answer to
/// "here is the ID that I sent you".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCorrelationId(pub CorrelationId);

impl CorrelationId {
    /// The ID that `bytes` spell, if they do.
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidId> {
        let mut id = Self::BLANK;
        id.read(bytes)?;
        Ok(id)
    }

    /// Becomes the ID that `bytes` spell, if they do: means nothing if they do not.
    #[inline]
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), InvalidId> {
        let len = bytes.len();
        if len == 0 {
            return Err(InvalidId::Empty);
        }
        if len > MAX_LEN {
            return Err(InvalidId::TooLong);
        }
        self.set_len(len);
        let foreign = match len.checked_sub(WIDE) {
            Some(last) => self.read_wide(bytes, last),
            None => self.read_short(bytes),
        };
        if foreign {
            Err(InvalidId::Charset)
        } else {
            Ok(())
        }
    }

    /// Takes bytes of which the last [`WIDE`] begin at `last`, and tells whether an ID has none of them.
    #[inline]
    fn read_wide(&mut self, bytes: &[u8], last: usize) -> bool {
        let mut foreign = false;
        for at in (0..bytes.len()).step_by(WIDE) {
            // The last chunk overlaps the one before it, which is cheaper than fewer bytes one by one.
            let at = at.min(last);
            if let Some(chunk) = bytes.get(at..at + WIDE)
                && let Some(room) = self.bytes.get_mut(at..at + WIDE)
            {
                room.copy_from_slice(chunk);
                foreign |= has_foreign(chunk);
            }
        }
        foreign
    }

    fn read_short(&mut self, bytes: &[u8]) -> bool {
        for (room, &byte) in self.bytes.iter_mut().zip(bytes) {
            *room = byte;
        }
        has_foreign(bytes)
    }

    /// Room for an ID, and none yet.
    pub(crate) const BLANK: Self = Self {
        bytes: [0; MAX_LEN],
    };

    #[inline]
    const fn set_len(&mut self, len: usize) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "less than MAX_LEN is less than 256"
        )]
        if len < MAX_LEN {
            self.bytes[MAX_LEN - 1] = SHORT | len as u8;
        }
    }

    #[inline]
    const fn len(&self) -> usize {
        match self.bytes[MAX_LEN - 1] {
            last if last & SHORT == 0 => MAX_LEN,
            last => (last ^ SHORT) as usize,
        }
    }

    /// Becomes this text, which is valid by its form.
    #[inline]
    pub(crate) fn spell(&mut self, uuid: &UuidText) {
        let (rooms, _) = self.bytes.as_chunks_mut();
        for (room, word) in rooms.iter_mut().zip(uuid.words()) {
            *room = *word;
        }
        self.set_len(UuidText::LEN);
    }

    /// The ID as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // Every byte is ASCII, so neither default is ever taken.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The ID as bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or_default()
    }

    /// The ID as the value of a header, to be cloned: one allocation whatever is cloned. Copied bytes
    /// are cheaper to make, and two from the first clone on.
    #[inline]
    pub(crate) fn to_shared_header_value(&self) -> HeaderValue {
        shared_header_value(Owner(self.clone()))
    }

    /// The ID as the value of a header: one allocation.
    #[inline]
    pub fn to_header_value(&self) -> HeaderValue {
        // The charset is a subset of visible ASCII, so the fallback is never taken.
        HeaderValue::from_bytes(self.as_bytes())
            .unwrap_or_else(|_| HeaderValue::from_static("invalid"))
    }
}

/// The value of a header that shows the ID which `owner` keeps.
#[inline]
pub(crate) fn shared_header_value(owner: impl AsRef<[u8]> + Send + 'static) -> HeaderValue {
    // The charset is a subset of visible ASCII, so the fallback is never taken.
    HeaderValue::from_maybe_shared(Bytes::from_owner(owner))
        .unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}

/// Keeps an ID for the header values that show it.
struct Owner(CorrelationId);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

// === impl CorrelationId ===

impl FromStr for CorrelationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::from_bytes(text.as_bytes())
    }
}

impl TryFrom<&HeaderValue> for CorrelationId {
    type Error = InvalidId;

    fn try_from(value: &HeaderValue) -> Result<Self, InvalidId> {
        Self::from_bytes(value.as_bytes())
    }
}

impl TryFrom<HeaderValue> for CorrelationId {
    type Error = InvalidId;

    fn try_from(value: HeaderValue) -> Result<Self, InvalidId> {
        Self::try_from(&value)
    }
}

impl From<&CorrelationId> for HeaderValue {
    fn from(id: &CorrelationId) -> Self {
        id.to_header_value()
    }
}

impl AsRef<str> for CorrelationId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for CorrelationId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for CorrelationId {}

impl Hash for CorrelationId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CorrelationId")
            .field(&self.as_str())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_the_letter(bytes: &[u8]) -> bool {
        const SET: &[u8] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+/=@-";
        (1..=128).contains(&bytes.len()) && bytes.iter().all(|byte| SET.contains(byte))
    }

    proptest! {
        #[test]
        fn bytes_are_an_id_exactly_if_length_and_charset_say_so(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..140),
                "[A-Za-z0-9._:+/=@-]{0,140}".prop_map(String::into_bytes),
                "[A-Za-z0-9._:+/=@~ -]{1,20}".prop_map(String::into_bytes),
            ]
        ) {
            let parsed = CorrelationId::from_bytes(&bytes);
            prop_assert_eq!(parsed.is_ok(), by_the_letter(&bytes));
            if let Ok(id) = parsed {
                prop_assert_eq!(id.as_bytes(), &bytes[..]);
                let value = id.to_header_value();
                prop_assert_eq!(CorrelationId::try_from(&value), Ok(id.clone()));
                prop_assert_eq!(id.to_string().parse(), Ok(id));
            }
        }
    }

    #[test]
    fn every_single_byte_is_judged_as_the_charset_says() {
        for byte in 0..=u8::MAX {
            assert_eq!(
                CorrelationId::from_bytes(&[byte]).is_ok(),
                by_the_letter(&[byte]),
                "{byte:#x}"
            );
        }
    }

    #[test]
    fn the_limits_of_length_are_exact() {
        for len in 1..=128 {
            let text: String = (0u8..)
                .map(|at| char::from(b'a' + at % 26))
                .take(len)
                .collect();
            assert_eq!(text.parse::<CorrelationId>().unwrap().as_str(), text);
            let mut bytes = text.into_bytes();
            for at in 0..len {
                let kept = std::mem::replace(&mut bytes[at], b' ');
                assert_eq!(
                    CorrelationId::from_bytes(&bytes),
                    Err(InvalidId::Charset),
                    "{at} of {len}"
                );
                bytes[at] = kept;
            }
        }
        for (text, reason) in [
            (String::new(), InvalidId::Empty),
            ("a".repeat(129), InvalidId::TooLong),
            ("a".repeat(256), InvalidId::TooLong),
            ("a".repeat(420_000), InvalidId::TooLong),
            ("a b".to_owned(), InvalidId::Charset),
        ] {
            assert_eq!(text.parse::<CorrelationId>(), Err(reason));
        }
    }

    #[test]
    fn an_id_is_equal_to_its_copy_and_hashes_alike() {
        use std::hash::BuildHasher;
        let state = std::hash::RandomState::new();
        let (one, other): (CorrelationId, CorrelationId) =
            ("same".parse().unwrap(), "same".parse().unwrap());
        assert_eq!(one, other);
        assert_eq!(state.hash_one(&one), state.hash_one(&other));
        assert_ne!(one, "same2".parse().unwrap());
    }
}
