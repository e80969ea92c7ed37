//! An ID in any format: a string, judged when it is read.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::CorrelationId;

impl Serialize for CorrelationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for CorrelationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Reads the text without a copy of it.
struct Text;

impl Visitor<'_> for Text {
    type Value = CorrelationId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a correlation ID, 1 to 128 bytes of [A-Za-z0-9._:+/=@-]")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<CorrelationId, E> {
        // The reason alone: what is no ID is not repeated.
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_a_string_and_read_back() {
        let id: CorrelationId = "order-42/retry=1".parse().unwrap();
        let written = serde_json::to_string(&id).unwrap();
        assert_eq!(written, "\"order-42/retry=1\"");
        assert_eq!(serde_json::from_str::<CorrelationId>(&written).unwrap(), id);
    }

    #[test]
    fn what_is_no_id_is_refused_without_being_repeated() {
        for text in ["\"\"", "\"forged level=error\"", "7", "null"] {
            let error = serde_json::from_str::<CorrelationId>(text).unwrap_err();
            assert!(!error.to_string().contains("forged"), "{error}");
        }
        let long = format!("\"{}\"", "a".repeat(129));
        assert!(serde_json::from_str::<CorrelationId>(&long).is_err());
    }
}
