//! The binary form: `OrcaLoadReport` in protobuf, in base64 as gRPC sends it.

use super::report::{LONGEST, LoadReport, Malformed};

/// Reads a value in base64, with or without padding.
pub(super) fn read(value: &[u8]) -> Result<LoadReport, Malformed> {
    let mut room = [0; LONGEST];
    let mut left = Left(decoded(value, &mut room)?);
    let mut report = LoadReport::default();
    while !left.0.is_empty() {
        let tag = left.varint()?;
        let name = name(tag >> 3);
        match (tag & 7, name) {
            (1, Some(name)) => report.take(name, f64::from_bits(left.fixed()?))?,
            (1, None) => drop(left.fixed()?),
            (0, None) => drop(left.varint()?),
            (2, None) => {
                let length = usize::try_from(left.varint()?).unwrap_or(usize::MAX);
                left.bytes(length)?;
            }
            (5, None) => drop(left.bytes(4)?),
            // A metric that is kept is of no other type, and there are no others.
            _ => return Err(Malformed::Syntax),
        }
    }
    Ok(report)
}

/// The metric of this number, if it is kept.
const fn name(number: u64) -> Option<&'static str> {
    Some(match number {
        1 => "cpu_utilization",
        2 => "mem_utilization",
        6 => "rps_fractional",
        7 => "eps",
        9 => "application_utilization",
        _ => return None,
    })
}

/// What has not been read yet.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, left) = self.0.split_at_checked(length).ok_or(Malformed::Syntax)?;
        self.0 = left;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for nth in 0..10 {
            let byte = self.bytes(1)?.first().copied().unwrap_or_default();
            value |= u64::from(byte & 0x7f) << (7 * nth);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Syntax)
    }

    fn fixed(&mut self) -> Result<u64, Malformed> {
        let bytes = self.bytes(8)?.try_into();
        bytes.map(u64::from_le_bytes).map_err(|_| Malformed::Syntax)
    }
}

/// The bytes that `value` stands for, in `room`, where there is room for all of a value that is not longer itself.
fn decoded<'a>(value: &[u8], room: &'a mut [u8; LONGEST]) -> Result<&'a [u8], Malformed> {
    let value = value.trim_ascii();
    let padding = value.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = value.len() - padding;
    if padding > 2 || digits % 4 == 1 || (padding > 0 && !value.len().is_multiple_of(4)) {
        return Err(Malformed::Syntax);
    }
    let mut length = 0;
    for some in value.get(..digits).unwrap_or_default().chunks(4) {
        let mut word = 0_u32;
        for byte in some {
            word = word << 6 | digit(*byte).ok_or(Malformed::Syntax)?;
        }
        let word = word << (6 * (4 - some.len()));
        let [_, bytes @ ..] = word.to_be_bytes();
        for byte in bytes.iter().take(some.len() - 1) {
            *room.get_mut(length).ok_or(Malformed::TooLong)? = *byte;
            length += 1;
        }
    }
    Ok(room.get(..length).unwrap_or_default())
}

fn digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    fn base64(bytes: &[u8], padded: bool) -> String {
        let mut text = String::new();
        for some in bytes.chunks(3) {
            let word = some
                .iter()
                .fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
            let word = word << (8 * (3 - some.len()));
            for nth in 0..4 {
                if nth <= some.len() {
                    text.push(DIGITS[(word >> (18 - 6 * nth) & 63) as usize].into());
                } else if padded {
                    text.push('=');
                }
            }
        }
        text
    }

    fn double(number: u8, value: f64) -> Vec<u8> {
        [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
    }

    #[test]
    fn every_metric_is_read_and_every_other_passed_over() {
        // A map's entry, a number that is no longer used, and one of four bytes.
        let others = [
            &[0x42, 3, 0x0a, 1, b'a'][..],
            &[0x18, 0x96, 1],
            &[0x7d, 1, 2, 3, 4],
        ]
        .concat();
        let metrics = [(1, 0.25), (2, 0.5), (6, 120.0), (7, 1.5), (9, 0.75)];
        let metrics = metrics
            .map(|(number, value)| double(number, value))
            .concat();
        let expected = LoadReport::new()
            .cpu_utilization(0.25)
            .mem_utilization(0.5)
            .rps_fractional(120.0)
            .eps(1.5)
            .application_utilization(0.75);
        let message = [others.clone(), metrics, others].concat();
        for padded in [true, false] {
            let value = base64(&message, padded);
            assert_eq!(read(value.as_bytes()), Ok(expected), "{value}");
        }
        assert_eq!(read(b""), Ok(LoadReport::default()));
        let said = LoadReport::new().cpu_utilization(0.3);
        assert_eq!(read(b"CTMzMzMzM9M/"), Ok(said));
    }

    #[test]
    fn what_is_no_report_is_refused_whole() {
        let twice = [double(1, 0.5), double(1, 0.5)].concat();
        for (message, why) in [
            (&double(1, -1.0)[..], Malformed::Value),
            (&double(9, f64::NAN), Malformed::Value),
            (&twice, Malformed::Repeated),
            (&double(1, 0.5)[..8], Malformed::Syntax),
            (&[0x08, 1], Malformed::Syntax),
            (&[0x42, 0xff, 1], Malformed::Syntax),
            (&[0xff; 11], Malformed::Syntax),
            (&[0x43], Malformed::Syntax),
        ] {
            assert_eq!(
                read(base64(message, true).as_bytes()),
                Err(why),
                "{message:?}"
            );
        }
        for value in ["CQ*A", "A", "AA=", "AAAA====", "=AAA", "A=AA"] {
            assert_eq!(read(value.as_bytes()), Err(Malformed::Syntax), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, value: Vec<u8>, padded: bool) {
            let _ = read(&value);
            let _ = read(base64(&bytes, padded).as_bytes());
            let mut room = [0; LONGEST];
            let text = base64(&bytes, padded);
            prop_assert_eq!(decoded(text.as_bytes(), &mut room), Ok(&bytes[..]));
        }
    }
}
