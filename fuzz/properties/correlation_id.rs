//! Bytes are an ID exactly if length and charset say so, and come back from every form as they were.

use buttress_correlation::{CorrelationId, InvalidId, MAX_LEN};
use http::HeaderValue;

/// Panics where it does not hold.
pub fn holds_for(bytes: &[u8]) {
    let read = CorrelationId::from_bytes(bytes);
    assert_eq!(read.as_ref().err().copied(), by_the_letter(bytes));
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        assert_eq!(CorrelationId::try_from(&value), read);
    }
    let Ok(id) = read else {
        return;
    };
    assert_eq!(id.as_bytes(), bytes);
    assert_eq!(id.to_header_value().as_bytes(), bytes);
    assert_eq!(id.to_string().parse(), Ok(id.clone()));
    assert_eq!(id.clone(), id);
}

/// What is wrong with them, as the documentation says it.
fn by_the_letter(bytes: &[u8]) -> Option<InvalidId> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:+/=@-".contains(byte);
    match bytes.len() {
        0 => Some(InvalidId::Empty),
        len if len > MAX_LEN => Some(InvalidId::TooLong),
        _ if bytes.iter().all(allowed) => None,
        _ => Some(InvalidId::Charset),
    }
}
