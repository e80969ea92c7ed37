//! Prometheus' protobuf, by the wire format and the field numbers of its `metrics.proto`.

use super::{Labels, Read};
use std::collections::BTreeMap;

/// A field's value.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn integer(self) -> Option<u64> {
        match self {
            Self::Varint(value) => Some(value),
            _ => None,
        }
    }

    fn double(self) -> Option<f64> {
        match self {
            Self::Fixed(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub struct Family {
    pub name: String,
    pub help: String,
    pub of_type: u64,
    /// Labels with a number, of counters and gauges.
    pub numbers: Vec<(Vec<(String, String)>, f64)>,
    pub histograms: BTreeMap<Labels, Read>,
}

/// All families of a page; `None` if it is not well formed.
pub fn read(mut page: &[u8]) -> Option<Vec<Family>> {
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(family(prefixed(&mut page)?)?);
    }
    Some(families)
}

fn family(message: &[u8]) -> Option<Family> {
    let mut family = Family::default();
    for (number, field) in fields(message)? {
        match number {
            1 => family.name = text(field)?,
            2 => family.help = text(field)?,
            3 => family.of_type = field.integer()?,
            4 => metric(field.bytes()?, &mut family)?,
            _ => return None,
        }
    }
    Some(family)
}

fn metric(message: &[u8], family: &mut Family) -> Option<()> {
    let mut labels = Vec::new();
    for (number, field) in fields(message)? {
        let inner = field.bytes()?;
        match number {
            1 => labels.push(pair(inner)?),
            2 | 3 => {
                let value = fields(inner)?
                    .first()
                    .map_or(Some(0.0), |(_, v)| v.double())?;
                family.numbers.push((labels.clone(), value));
            }
            7 => {
                let labels = labels.iter().cloned().collect();
                family.histograms.insert(labels, histogram(inner)?);
            }
            _ => return None,
        }
    }
    Some(())
}

fn histogram(message: &[u8]) -> Option<Read> {
    let mut read = Read::default();
    let (mut spans, mut deltas, mut schema, mut exemplars) =
        (Vec::new(), Vec::new(), 0, Vec::new());
    for (number, field) in fields(message)? {
        match number {
            1 => read.count = field.integer()?,
            2 => read.sum = field.double()?,
            3 => {
                let (mut bound, mut count) = (0.0, 0);
                for (number, field) in fields(field.bytes()?)? {
                    match number {
                        1 => count = field.integer()?,
                        2 => bound = field.double()?,
                        3 => read.exemplars.push(exemplar(field.bytes()?)?),
                        _ => return None,
                    }
                }
                read.classic.push((bound, count));
            }
            5 => schema = zigzag(field.integer()?),
            6 => read.zero.0 = field.double()?,
            7 => read.zero.1 = field.integer()?,
            12 => {
                let (mut offset, mut length) = (0, 0);
                for (number, field) in fields(field.bytes()?)? {
                    match number {
                        1 => offset = zigzag(field.integer()?),
                        2 => length = field.integer()?,
                        _ => return None,
                    }
                }
                spans.push((offset, length));
            }
            13 => {
                let mut packed = field.bytes()?;
                while !packed.is_empty() {
                    deltas.push(zigzag(varint(&mut packed)?));
                }
            }
            16 => exemplars.push(exemplar(field.bytes()?)?),
            _ => return None,
        }
    }
    assert!(schema == 6 || (schema == 0 && spans.is_empty()), "{schema}");
    read.native = sparse(&spans, &deltas)?;
    Some(read)
}

fn sparse(spans: &[(i64, u64)], deltas: &[i64]) -> Option<Vec<(i32, u64)>> {
    let (mut deltas, mut buckets) = (deltas.iter(), Vec::new());
    let (mut index, mut count) = (0_i64, 0_u64);
    for (offset, length) in spans {
        index += offset;
        for _ in 0..*length {
            count = count.wrapping_add_signed(*deltas.next()?);
            buckets.push((i32::try_from(index).ok()?, count));
            index += 1;
        }
    }
    deltas.next().is_none().then_some(buckets)
}

fn exemplar(message: &[u8]) -> Option<(String, f64, u64)> {
    let (mut trace, mut value, mut at) = (String::new(), 0.0, 0);
    for (number, field) in fields(message)? {
        match number {
            1 => {
                let (name, id) = pair(field.bytes()?)?;
                if name == "trace_id" {
                    trace = id;
                }
            }
            2 => value = field.double()?,
            3 => {
                for (number, field) in fields(field.bytes()?)? {
                    let part = field.integer()?;
                    at += if number == 1 {
                        part * 1000
                    } else {
                        part / 1_000_000
                    };
                }
            }
            _ => return None,
        }
    }
    Some((trace, value, at))
}

fn pair(message: &[u8]) -> Option<(String, String)> {
    let (mut name, mut value) = (String::new(), String::new());
    for (number, field) in fields(message)? {
        match number {
            1 => name = text(field)?,
            2 => value = text(field)?,
            _ => return None,
        }
    }
    Some((name, value))
}

fn text(field: Field<'_>) -> Option<String> {
    String::from_utf8(field.bytes()?.to_vec()).ok()
}

/// The fields of a message by number.
pub fn fields(mut message: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let field = match tag & 7 {
            0 => Field::Varint(varint(&mut message)?),
            1 => {
                let (bytes, rest) = message.split_first_chunk()?;
                message = rest;
                Field::Fixed(u64::from_le_bytes(*bytes))
            }
            2 => Field::Bytes(prefixed(&mut message)?),
            _ => return None,
        };
        fields.push((tag >> 3, field));
    }
    Some(fields)
}

fn prefixed<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
