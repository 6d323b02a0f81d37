//! JSON, read front to back without a tree: what is not asked for is checked and passed over.
//!
//! Strict, and narrower than the standard in what strangers rarely send: names of members and single texts with escapes,
//! integers past 64 bits, nesting past `DEPTH_MAX` are `Beyond`, if they are asked for or are deep; a decoder that reads
//! all takes these.

use std::borrow::Cow;

use crate::escapes::unescaped;
use crate::value::Value;
use crate::{Beyond, Here};

const DEPTH_MAX: usize = 64;
/// Bytes that are looked at together.
const STRIDE: usize = 8;
const ONES: u64 = u64::from_ne_bytes([0x01; STRIDE]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; STRIDE]);

/// A place in a text that is JSON, if it is read to the end.
pub struct Json<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Json<'a> {
    /// At the beginning of what is surely UTF-8.
    #[must_use]
    pub fn new(text: &'a str) -> Json<'a> {
        Json { text, bytes: text.as_bytes(), at: 0 }
    }

    /// How many bytes are behind.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// The first byte of what comes next.
    #[inline]
    pub fn peek(&mut self) -> Here<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Beyond),
            }
        }
    }

    /// Nothing but white space is left.
    pub fn finish(&mut self) -> Here<()> {
        if self.peek().is_err() { Ok(()) } else { Err(Beyond) }
    }

    /// Passes over this byte, which must be the next.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Here<()> {
        self.has(byte)?.then_some(()).ok_or(Beyond)
    }

    /// Passes over this byte, if it is the next.
    #[inline]
    pub fn has(&mut self, byte: u8) -> Here<bool> {
        let has = self.peek()? == byte;
        self.at += usize::from(has);
        Ok(has)
    }

    /// The first key of an object that comes next, if it has any; and then its value comes.
    pub fn object(&mut self) -> Here<Option<&'a str>> {
        self.expect(b'{')?;
        if self.has(b'}')? { Ok(None) } else { self.key().map(Some) }
    }

    /// The next key of an object, after a value.
    #[inline]
    pub fn next_key(&mut self) -> Here<Option<&'a str>> {
        if self.has(b',')? {
            return self.key().map(Some);
        }
        self.expect(b'}')?;
        Ok(None)
    }

    fn key(&mut self) -> Here<&'a str> {
        let key = self.text()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// Whether a list that comes next has an item; which then comes.
    pub fn list(&mut self) -> Here<bool> {
        self.expect(b'[')?;
        Ok(!self.has(b']')?)
    }

    /// Whether a list goes on, after an item.
    pub fn next_item(&mut self) -> Here<bool> {
        if self.has(b',')? {
            return Ok(true);
        }
        self.expect(b']')?;
        Ok(false)
    }

    /// Passes over null, if it comes next.
    pub fn null(&mut self) -> Here<bool> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        self.word(b"null")?;
        Ok(true)
    }

    /// Passes over these bytes, which must be the next.
    pub fn word(&mut self, word: &[u8]) -> Here<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Beyond);
        }
        self.at += word.len();
        Ok(())
    }

    /// Text without escapes.
    pub fn text(&mut self) -> Here<&'a str> {
        self.expect(b'"')?;
        let begin = self.at;
        self.plain_text();
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(Beyond);
        }
        self.at += 1;
        self.text.get(begin..self.at - 1).ok_or(Beyond)
    }

    /// Text, of which the escapes are what they stand for.
    fn any_text(&mut self) -> Here<Cow<'a, str>> {
        let raw = self.raw_text()?;
        if raw.contains('\\') { unescaped(raw).map(Cow::Owned) } else { Ok(Cow::Borrowed(raw)) }
    }

    /// Goes on to the next byte that is not simply itself in a text.
    #[inline]
    fn plain_text(&mut self) {
        while let Some(stride) = self.bytes[self.at..].first_chunk::<STRIDE>() {
            let found = ends(u64::from_le_bytes(*stride));
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += STRIDE;
        }
        let end = |byte: &u8| matches!(*byte, b'"' | b'\\' | 0..b' ');
        self.at += self.bytes[self.at..].iter().position(end).unwrap_or(self.bytes.len() - self.at);
    }

    /// Text as it is written, which a decoder would take: its escapes are known, and no half of a surrogate pair stands
    /// alone.
    #[inline]
    pub fn raw_text(&mut self) -> Here<&'a str> {
        self.expect(b'"')?;
        let begin = self.at;
        loop {
            self.plain_text();
            match self.bytes.get(self.at..self.at + 2) {
                Some([b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't']) => self.at += 2,
                Some(b"\\u") => self.skip_unit()?,
                _ if self.bytes.get(self.at) == Some(&b'"') => break,
                _ => return Err(Beyond),
            }
        }
        self.at += 1;
        self.text.get(begin..self.at - 1).ok_or(Beyond)
    }

    /// Passes over `\uXXXX`, or over two of them that are one character.
    fn skip_unit(&mut self) -> Here<()> {
        match self.unit()? {
            0xdc00..=0xdfff => Err(Beyond),
            0xd800..=0xdbff if !matches!(self.unit()?, 0xdc00..=0xdfff) => Err(Beyond),
            _ => Ok(()),
        }
    }

    fn unit(&mut self) -> Here<u32> {
        let Some([b'\\', b'u', digits @ ..]) = self.bytes.get(self.at..self.at + 6) else { return Err(Beyond) };
        self.at += 6;
        digits.iter().try_fold(0, |all, digit| Some(all << 4 | char::from(*digit).to_digit(16)?)).ok_or(Beyond)
    }

    /// The text of a number, and whether it is an integer.
    pub fn number(&mut self) -> Here<(&'a str, bool)> {
        self.peek()?;
        let begin = self.at;
        self.at += usize::from(self.bytes[begin] == b'-');
        let first = self.at;
        let whole = self.digits()?;
        if whole > 1 && self.bytes[first] == b'0' {
            return Err(Beyond);
        }
        let is_int = !matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E'));
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = self.text.get(begin..self.at).ok_or(Beyond)?;
        Ok((text, is_int))
    }

    /// Passes over at least one digit; how many.
    fn digits(&mut self) -> Here<usize> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count > 0 { Ok(count) } else { Err(Beyond) }
    }

    pub fn int(&mut self) -> Here<i64> {
        match self.number()? {
            (text, true) => text.parse().map_err(|_| Beyond),
            _ => Err(Beyond),
        }
    }

    pub fn value(&mut self) -> Here<Value> {
        self.nested(DEPTH_MAX)
    }

    fn nested(&mut self, depth: usize) -> Here<Value> {
        Ok(match self.peek()? {
            b'"' => Value::Str(self.any_text()?.into()),
            b'n' => {
                self.word(b"null")?;
                Value::Null
            }
            b't' => {
                self.word(b"true")?;
                Value::Bool(true)
            }
            b'f' => {
                self.word(b"false")?;
                Value::Bool(false)
            }
            b'[' if depth > 0 => {
                let mut items = Vec::new();
                let mut more = self.list()?;
                while more {
                    items.push(self.nested(depth - 1)?);
                    more = self.next_item()?;
                }
                Value::List(items)
            }
            b'{' if depth > 0 => {
                let mut pairs: Vec<(Box<str>, Value)> = Vec::new();
                self.expect(b'{')?;
                let mut more = !self.has(b'}')?;
                while more {
                    let name = self.any_text()?;
                    if pairs.iter().any(|(each, _)| **each == *name) {
                        return Err(Beyond);
                    }
                    self.expect(b':')?;
                    pairs.push((name.into(), self.nested(depth - 1)?));
                    more = self.has(b',')?;
                    if !more {
                        self.expect(b'}')?;
                    }
                }
                Value::Map(pairs)
            }
            b'-' | b'0'..=b'9' => match self.number()? {
                (text, true) => Value::Int(text.parse().map_err(|_| Beyond)?),
                (text, false) => {
                    Value::Float(text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or(Beyond)?)
                }
            },
            _ => return Err(Beyond),
        })
    }

    /// Passes over a value.
    pub fn skip(&mut self) -> Here<()> {
        self.skip_nested(DEPTH_MAX)
    }

    /// Passes over an object; `each` is told the names of its members, with their escapes.
    pub fn skip_members(&mut self, each: impl FnMut(&'a str)) -> Here<()> {
        self.skip_object(DEPTH_MAX, each)
    }

    fn skip_object(&mut self, depth: usize, mut each: impl FnMut(&'a str)) -> Here<()> {
        self.expect(b'{')?;
        let mut more = !self.has(b'}')?;
        while more {
            each(self.raw_text()?);
            self.expect(b':')?;
            self.skip_nested(depth - 1)?;
            more = self.has(b',')?;
            if !more {
                self.expect(b'}')?;
            }
        }
        Ok(())
    }

    fn skip_nested(&mut self, depth: usize) -> Here<()> {
        match self.peek()? {
            b'"' => drop(self.raw_text()?),
            b'n' => self.word(b"null")?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'[' if depth > 0 => {
                let mut more = self.list()?;
                while more {
                    self.skip_nested(depth - 1)?;
                    more = self.next_item()?;
                }
            }
            b'{' if depth > 0 => self.skip_object(depth, |_| {})?,
            b'-' | b'0'..=b'9' => drop(self.number()?),
            _ => return Err(Beyond),
        }
        Ok(())
    }
}

/// The high bits of the bytes that end plain text, right up to the first of them (Anderson, "Bit Twiddling Hacks":
/// "Determine if a word has a byte less than n", "... equal to n").
fn ends(word: u64) -> u64 {
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let controls = word.wrapping_sub(ONES * u64::from(b' ')) & !word;
    let quotes = has_zero(word ^ (ONES * u64::from(b'"')));
    let escapes = has_zero(word ^ (ONES * u64::from(b'\\')));
    (controls | quotes | escapes) & HIGHS
}
