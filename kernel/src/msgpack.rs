//! Msgpack as `msgspec.msgpack` writes it: each value in its one shortest form, so that both write the same bytes.

use crate::value::Value;
use crate::{Beyond, Here};

/// Reads one value after the other.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The type byte that comes next.
    pub fn peek(&self) -> Here<u8> {
        self.rest.first().copied().ok_or(Beyond)
    }

    fn take(&mut self, size: usize) -> Here<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(Beyond)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Here<u8> {
        Ok(self.take(1)?[0])
    }

    fn big_endian(&mut self, size: usize) -> Here<u64> {
        Ok(self.take(size)?.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    fn size(&mut self, bytes: usize) -> Here<usize> {
        usize::try_from(self.big_endian(bytes)?).map_err(|_| Beyond)
    }

    /// The number of items of a list, which come next.
    pub fn list(&mut self) -> Here<usize> {
        match self.byte()? {
            tag @ 0x90..=0x9f => Ok(usize::from(tag & 0x0f)),
            0xdc => self.size(2),
            0xdd => self.size(4),
            _ => Err(Beyond),
        }
    }

    /// The number of pairs of an object, which come next.
    pub fn map(&mut self) -> Here<usize> {
        match self.byte()? {
            tag @ 0x80..=0x8f => Ok(usize::from(tag & 0x0f)),
            0xde => self.size(2),
            0xdf => self.size(4),
            _ => Err(Beyond),
        }
    }

    pub fn nil(&mut self) -> Here<()> {
        if self.byte()? == 0xc0 { Ok(()) } else { Err(Beyond) }
    }

    pub fn int(&mut self) -> Here<i64> {
        Ok(match self.byte()? {
            tag @ 0x00..=0x7f => i64::from(tag),
            tag @ 0xe0..=0xff => i64::from(tag.cast_signed()),
            0xcc => i64::from(self.byte()?),
            0xcd => self.big_endian(2)?.cast_signed(),
            0xce => self.big_endian(4)?.cast_signed(),
            0xcf => i64::try_from(self.big_endian(8)?).map_err(|_| Beyond)?,
            0xd0 => i64::from(self.byte()?.cast_signed()),
            0xd1 => i64::from(u16::try_from(self.big_endian(2)?).map_err(|_| Beyond)?.cast_signed()),
            0xd2 => i64::from(u32::try_from(self.big_endian(4)?).map_err(|_| Beyond)?.cast_signed()),
            0xd3 => self.big_endian(8)?.cast_signed(),
            _ => return Err(Beyond),
        })
    }

    /// An integer that is not negative; where it is, it is still to be read.
    pub fn unsigned(&mut self) -> Here<u64> {
        let mut ahead = *self;
        let number = if ahead.peek()? == 0xcf {
            ahead.byte()?;
            ahead.big_endian(8)?
        } else {
            u64::try_from(ahead.int()?).map_err(|_| Beyond)?
        };
        *self = ahead;
        Ok(number)
    }

    pub fn text(&mut self) -> Here<&'a str> {
        let size = match self.byte()? {
            tag @ 0xa0..=0xbf => usize::from(tag & 0x1f),
            0xd9 => self.size(1)?,
            0xda => self.size(2)?,
            0xdb => self.size(4)?,
            _ => return Err(Beyond),
        };
        std::str::from_utf8(self.take(size)?).map_err(|_| Beyond)
    }

    pub fn bytes(&mut self) -> Here<&'a [u8]> {
        let size = match self.byte()? {
            0xc4 => self.size(1)?,
            0xc5 => self.size(2)?,
            0xc6 => self.size(4)?,
            _ => return Err(Beyond),
        };
        self.take(size)
    }

    pub fn value(&mut self) -> Here<Value> {
        Ok(match self.peek()? {
            0xc0 => {
                self.byte()?;
                Value::Null
            }
            tag @ (0xc2 | 0xc3) => {
                self.byte()?;
                Value::Bool(tag == 0xc3)
            }
            0xca => {
                self.byte()?;
                Value::Float(f64::from(f32::from_bits(u32::try_from(self.big_endian(4)?).map_err(|_| Beyond)?)))
            }
            0xcb => {
                self.byte()?;
                Value::Float(f64::from_bits(self.big_endian(8)?))
            }
            0xa0..=0xbf | 0xd9..=0xdb => Value::Str(self.text()?.into()),
            0xc4..=0xc6 => Value::Bytes(self.bytes()?.into()),
            0x90..=0x9f | 0xdc | 0xdd => {
                let size = self.list()?;
                (0..size).map(|_| self.value()).collect::<Here<_>>().map(Value::List)?
            }
            0x80..=0x8f | 0xde | 0xdf => {
                let size = self.map()?;
                (0..size).map(|_| Ok((self.text()?.into(), self.value()?))).collect::<Here<_>>().map(Value::Map)?
            }
            0xc7 | 0xd6 | 0xd7 => Value::Instant(self.instant()?),
            _ => Value::Int(self.int()?),
        })
    }

    /// A timestamp of msgpack in whole milliseconds; finer ones are not known here.
    fn instant(&mut self) -> Here<i64> {
        let (seconds, nanoseconds) = match (self.byte()?, self.byte()?) {
            (0xd6, 0xff) => (self.big_endian(4)?.cast_signed(), 0),
            (0xd7, 0xff) => {
                let both = self.big_endian(8)?;
                ((both & 0x3_ffff_ffff).cast_signed(), both >> 34)
            }
            (0xc7, 12) if self.byte()? == 0xff => {
                let nanoseconds = self.big_endian(4)?;
                (self.big_endian(8)?.cast_signed(), nanoseconds)
            }
            _ => return Err(Beyond),
        };
        let ms = i64::try_from(nanoseconds / 1_000_000).map_err(|_| Beyond)?;
        let is_known = nanoseconds.is_multiple_of(1_000_000) && seconds.unsigned_abs() < 1 << 40;
        if is_known { Ok(seconds * 1_000 + ms) } else { Err(Beyond) }
    }

    /// Passes over one value; the bytes that it has. Whether its text is Unicode whoever reads it is told.
    pub fn raw(&mut self) -> Here<&'a [u8]> {
        let begin = self.rest;
        let mut values = 1;
        while values > 0 {
            values -= 1;
            let size = match self.byte()? {
                tag @ 0x80..=0x8f => {
                    values += 2 * usize::from(tag & 0x0f);
                    0
                }
                tag @ 0x90..=0x9f => {
                    values += usize::from(tag & 0x0f);
                    0
                }
                0xdc => {
                    values += self.size(2)?;
                    0
                }
                0xdd => {
                    values += self.size(4)?;
                    0
                }
                0xde => {
                    values += 2 * self.size(2)?;
                    0
                }
                0xdf => {
                    values += 2 * self.size(4)?;
                    0
                }
                tag @ 0xa0..=0xbf => usize::from(tag & 0x1f),
                0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 0,
                0xc4 | 0xd9 => self.size(1)?,
                0xc5 | 0xda => self.size(2)?,
                0xc6 | 0xdb => self.size(4)?,
                0xc7 => self.size(1)? + 1,
                0xcc | 0xd0 => 1,
                0xcd | 0xd1 => 2,
                0xca | 0xce | 0xd2 => 4,
                0xcb | 0xcf | 0xd3 => 8,
                0xd6 => 5,
                0xd7 => 9,
                _ => return Err(Beyond),
            };
            self.take(size)?;
        }
        Ok(&begin[..begin.len() - self.rest.len()])
    }
}

#[allow(clippy::cast_possible_truncation)] // each arm is of the size that it writes
fn sized(out: &mut Vec<u8>, size: usize, tags: (Option<(u8, usize)>, Option<u8>, u8, u8)) {
    let (fixed, one, two, four) = tags;
    match (fixed, one) {
        (Some((tag, most)), _) if size <= most => out.push(tag | size as u8),
        (_, Some(tag)) if size <= 0xff => out.extend([tag, size as u8]),
        _ if size <= 0xffff => {
            out.push(two);
            out.extend((size as u16).to_be_bytes());
        }
        _ => {
            out.push(four);
            out.extend((size as u32).to_be_bytes());
        }
    }
}

pub fn write_list(out: &mut Vec<u8>, size: usize) {
    sized(out, size, (Some((0x90, 15)), None, 0xdc, 0xdd));
}

pub fn write_map(out: &mut Vec<u8>, size: usize) {
    sized(out, size, (Some((0x80, 15)), None, 0xde, 0xdf));
}

pub fn write_text(out: &mut Vec<u8>, text: &str) {
    sized(out, text.len(), (Some((0xa0, 31)), Some(0xd9), 0xda, 0xdb));
    out.extend(text.as_bytes());
}

pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    sized(out, bytes.len(), (None, Some(0xc4), 0xc5, 0xc6));
    out.extend(bytes);
}

pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // each arm is of the size that it writes
pub fn write_int(out: &mut Vec<u8>, number: i64) {
    match number {
        -32..=0x7f => out.push(number as u8),
        0x80..=0xff => out.extend([0xcc, number as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((number as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend((number as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend((number as u64).to_be_bytes());
        }
        -0x80..-32 => out.extend([0xd0, number as u8]),
        -0x8000..-0x80 => {
            out.push(0xd1);
            out.extend((number as i16).to_be_bytes());
        }
        -0x8000_0000..-0x8000 => {
            out.push(0xd2);
            out.extend((number as i32).to_be_bytes());
        }
        ..-0x8000_0000 => {
            out.push(0xd3);
            out.extend(number.to_be_bytes());
        }
    }
}

pub fn write_unsigned(out: &mut Vec<u8>, number: u64) {
    if let Ok(number) = i64::try_from(number) {
        write_int(out, number);
    } else {
        out.push(0xcf);
        out.extend(number.to_be_bytes());
    }
}

pub fn write_float(out: &mut Vec<u8>, number: f64) {
    out.push(0xcb);
    out.extend(number.to_bits().to_be_bytes());
}

/// A timestamp in the shortest of its three forms, as for a `datetime` in UTC.
#[allow(clippy::cast_possible_truncation)] // checked to fit
pub fn write_instant(out: &mut Vec<u8>, at_ms: i64) {
    let (seconds, nanoseconds) = (at_ms.div_euclid(1_000), at_ms.rem_euclid(1_000).unsigned_abs() * 1_000_000);
    match u64::try_from(seconds) {
        Ok(whole) if nanoseconds == 0 && whole <= 0xffff_ffff => {
            out.extend([0xd6, 0xff]);
            out.extend((whole as u32).to_be_bytes());
        }
        Ok(whole) if whole < 1 << 34 => {
            out.extend([0xd7, 0xff]);
            out.extend((nanoseconds << 34 | whole).to_be_bytes());
        }
        _ => {
            out.extend([0xc7, 12, 0xff]);
            out.extend((nanoseconds as u32).to_be_bytes());
            out.extend(seconds.to_be_bytes());
        }
    }
}

pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => write_nil(out),
        Value::Bool(truth) => out.push(0xc2 | u8::from(*truth)),
        Value::Int(number) => write_int(out, *number),
        Value::Float(number) => write_float(out, *number),
        Value::Str(text) => write_text(out, text),
        Value::Bytes(bytes) => write_bytes(out, bytes),
        Value::Instant(at_ms) => write_instant(out, *at_ms),
        Value::List(items) => {
            write_list(out, items.len());
            for item in items {
                write_value(out, item);
            }
        }
        Value::Map(pairs) => {
            write_map(out, pairs.len());
            for (key, value) in pairs {
                write_text(out, key);
                write_value(out, value);
            }
        }
    }
}
