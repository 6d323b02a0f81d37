//! Tallies: values as text, and how often each came, in the order in which they came first.
//!
//! Past `VALUES_MAX` a tally is a bottom-k sample of the values (Beyer et al., SIGMOD 2007): the same whatever the order
//! of arrival.

use std::cmp::Ordering;
use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use super::monoid::Kept;
use super::numbers::Number;
use crate::msgpack::{Reader, write_int, write_map, write_text};
use crate::texts::Text;
use crate::value::Value;
use crate::{Beyond, Here};

/// Distinct values that are kept (`onefold.limits.UNIQUE_VALUES_MAX`).
pub const VALUES_MAX: usize = 1_000;
/// The text that says: there were more.
const OVERFLOWED: &str = "";

/// Their texts lie one behind the other: looking for one reads no memory that is elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    texts: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    begin: u32,
    size: u32,
    many: i64,
}

/// What came of a value that was put into a tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It has come before.
    Again,
    /// It was the first of its kind; places of others are what they were.
    First,
    /// It was the first of its kind, and more than are kept: places may be others, and it may not be there.
    Sampled,
}

impl Tally {
    /// Of one value.
    pub fn of(value: &Text<'_>) -> Tally {
        let mut tally = Tally::default();
        tally.begin(value);
        tally
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn text(&self, place: usize) -> &str {
        let entry = self.entries[place];
        &self.texts[entry.begin as usize..][..entry.size as usize]
    }

    pub fn many(&self, place: usize) -> i64 {
        self.entries[place].many
    }

    pub fn place(&self, text: &str) -> Option<usize> {
        let texts = self.texts.as_bytes();
        self.entries.iter().position(|entry| {
            entry.size as usize == text.len() && texts[entry.begin as usize..][..text.len()] == *text.as_bytes()
        })
    }

    /// The place of a value.
    pub fn place_of(&self, value: &Text<'_>) -> Option<usize> {
        let (texts, rest) = (self.texts.as_bytes(), value.rest.as_bytes());
        self.entries.iter().position(|entry| {
            let text = &texts[entry.begin as usize..];
            entry.size as usize == rest.len() + 1 && text[0] == value.kind && text[1..entry.size as usize] == *rest
        })
    }

    /// Places of the values, without the mark that there were more.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|place| self.entries[*place].size > 0)
    }

    #[allow(clippy::cast_possible_truncation)] // a thousand texts of events, which are bounded, stay below 4 GiB
    fn push(&mut self, text: &str, many: i64) -> usize {
        self.entries.push(Entry { begin: self.texts.len() as u32, size: text.len() as u32, many });
        self.texts.push_str(text);
        self.len() - 1
    }

    /// One value for the first time.
    #[allow(clippy::cast_possible_truncation)] // as above
    fn begin(&mut self, value: &Text<'_>) {
        let (begin, size) = (self.texts.len() as u32, value.rest.len() as u32 + 1);
        self.texts.push(char::from(value.kind));
        self.texts.push_str(&value.rest);
        self.entries.push(Entry { begin, size, many: 1 });
    }

    /// One value more; its place unless it is `Sampled`.
    pub fn count(&mut self, value: &Text<'_>) -> (Counted, usize) {
        if let Some(place) = self.place_of(value) {
            self.entries[place].many += 1;
            return (Counted::Again, place);
        }
        self.begin(value);
        let sampled = self.len() > VALUES_MAX && self.sample();
        (if sampled { Counted::Sampled } else { Counted::First }, self.len() - 1)
    }

    /// All of another's.
    pub fn add(&mut self, more: &Tally) {
        for place in 0..more.len() {
            let text = more.text(place);
            match self.place(text) {
                Some(mine) => self.entries[mine].many += more.many(place),
                None => drop(self.push(text, more.many(place))),
            }
        }
        if self.len() > VALUES_MAX {
            self.sample();
        }
    }

    /// All of many, whose values are looked up as long as they are all kept.
    pub fn sum<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Tally {
        let mut total = Tally::default();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut sampled = false;
        for tally in tallies {
            if sampled {
                total.add(tally);
                continue;
            }
            for place in 0..tally.len() {
                let text = tally.text(place);
                let mine = *places.entry(text).or_insert_with(|| total.push(text, 0));
                total.entries[mine].many += tally.many(place);
            }
            sampled = total.len() > VALUES_MAX && total.sample();
        }
        total
    }

    /// Keep the values of the smallest hashes; whether there were too many.
    fn sample(&mut self) -> bool {
        let mut hashed: Vec<(u64, usize)> = self.places().map(|place| (self.hash(place), place)).collect();
        if hashed.len() <= VALUES_MAX {
            return false;
        }
        hashed.sort_unstable(); // of equal hashes the earlier place
        let mut kept = vec![true; self.len()];
        for (_, place) in &hashed[VALUES_MAX..] {
            kept[*place] = false;
        }
        let all = std::mem::take(self);
        for place in (0..all.len()).filter(|place| kept[*place]) {
            self.push(all.text(place), all.many(place));
        }
        match self.place(OVERFLOWED) {
            Some(place) => self.entries[place].many = 1,
            None => drop(self.push(OVERFLOWED, 1)),
        }
        true
    }

    fn hash(&self, place: usize) -> u64 {
        xxh3_64(self.text(place).as_bytes())
    }

    /// How many different values there were: past the bound an estimate by the largest hash that is kept.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // rounded once, as Python divides integers
    pub fn distinct(&self) -> i64 {
        if self.place(OVERFLOWED).is_none() {
            return i64::try_from(self.len()).unwrap_or(i64::MAX);
        }
        let largest = u128::from(self.places().map(|place| self.hash(place)).max().unwrap_or(0).max(1));
        let scaled = (VALUES_MAX as u128 - 1) << (64 + SPARE_BITS);
        let quotient = (scaled / largest) | u128::from(!scaled.is_multiple_of(largest));
        (quotient as f64 / (1_u64 << SPARE_BITS) as f64).round_ties_even() as i64
    }

    /// Values in their order.
    pub fn ordered(&self) -> Vec<Value> {
        let mut ranked: Vec<Rank<'_>> = self.places().map(|place| Rank::of(self.text(place))).collect();
        ranked.sort_by(Rank::order);
        ranked.iter().map(Rank::value).collect()
    }

    /// Whether a value is more frequent than another, or as frequent and smaller.
    pub fn is_before(&self, place: usize, other: usize) -> bool {
        match self.many(place).cmp(&self.many(other)) {
            Ordering::Equal => Rank::of(self.text(place)).order(&Rank::of(self.text(other))).is_lt(),
            order => order.is_gt(),
        }
    }

    /// The most frequent value; `None` where there is none.
    pub fn favourite(&self) -> Option<usize> {
        self.places().reduce(|best, place| if self.is_before(place, best) { place } else { best })
    }

    /// The most frequent values, in order.
    pub fn leaders(&self, most: usize) -> Vec<u32> {
        let ranked = self.places().map(|place| (self.many(place), Rank::of(self.text(place)), narrow(place)));
        let mut ranked: Vec<(i64, Rank<'_>, u32)> = ranked.collect();
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.order(&b.1)));
        ranked.into_iter().take(most).map(|(_, _, place)| place).collect()
    }

    pub fn read(stored: &mut Reader<'_>) -> Here<Tally> {
        let size = stored.map()?;
        if size > VALUES_MAX + 1 {
            return Err(Beyond);
        }
        let mut tally = Tally { texts: String::new(), entries: Vec::with_capacity(size) };
        for _ in 0..size {
            let text = stored.text()?;
            if !text.is_empty() && !matches!(text.as_bytes()[0], b's' | b'b' | b'n') {
                return Err(Beyond);
            }
            let many = stored.int()?;
            tally.push(text, many);
        }
        Ok(tally)
    }
}

/// As many bits more as a quotient needs to be rounded once.
const SPARE_BITS: u32 = 46;

/// A place in a tally, of which there are few.
#[allow(clippy::cast_possible_truncation)]
pub fn narrow(place: usize) -> u32 {
    place as u32
}

impl Kept for Tally {
    fn write(&self, out: &mut Vec<u8>) {
        write_map(out, self.len());
        for place in 0..self.len() {
            write_text(out, self.text(place));
            write_int(out, self.many(place));
        }
    }
}

/// A value of a tally, in the order of values: by kind, then by value.
#[derive(Clone, Copy, Debug)]
enum Rank<'a> {
    Bool(bool),
    Number(Number),
    Str(&'a str),
}

impl<'a> Rank<'a> {
    fn of(text: &'a str) -> Rank<'a> {
        let (kind, rest) = text.split_at_checked(1).unwrap_or(("s", ""));
        match kind {
            "s" => Rank::Str(rest),
            "b" => Rank::Bool(rest == "1"),
            _ => Rank::Number(number_of(rest)),
        }
    }

    fn order(&self, other: &Rank<'_>) -> Ordering {
        match (self, other) {
            (Rank::Bool(a), Rank::Bool(b)) => a.cmp(b),
            (Rank::Number(a), Rank::Number(b)) => a.double().partial_cmp(&b.double()).unwrap_or(Ordering::Equal),
            (Rank::Str(a), Rank::Str(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }

    /// Kinds are in the order of their names.
    fn kind(&self) -> u8 {
        match self {
            Rank::Bool(_) => 0,
            Rank::Number(_) => 1,
            Rank::Str(_) => 2,
        }
    }

    fn value(&self) -> Value {
        match self {
            Rank::Bool(truth) => Value::Bool(*truth),
            Rank::Number(number) => number.value(),
            Rank::Str(text) => Value::Str((*text).into()),
        }
    }
}

fn number_of(text: &str) -> Number {
    let whole = if text.contains(['.', 'e']) { None } else { text.parse().ok() };
    whole.map_or_else(|| Number::Float(text.parse().unwrap_or(f64::NAN)), Number::Int)
}

/// The value that a tally's text stands for.
pub fn value_of(text: &str) -> Value {
    Rank::of(text).value()
}
