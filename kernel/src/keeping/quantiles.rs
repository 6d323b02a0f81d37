//! `percentile`: exact up to `NUMBERS_MAX` different numbers, then a histogram of bounded error.
//!
//! Buckets are the upper bits of the doubles' own bit patterns (`onefold.language.keeping.quantiles`): the idea of uniform
//! collapse (Epicoco et al., `UDDSketch`, 2020) with the buckets of `HdrHistogram`.

use std::borrow::Cow;

use super::monoid::{Asked, Kept, Monoid, together};
use super::numbers::Number;
use super::{At, Change};
use crate::msgpack::{Reader, write_int, write_list, write_map};
use crate::value::Value;
use crate::{Beyond, Here};

/// Distinct numbers that are kept exactly, and buckets beyond (`onefold.limits.PERCENTILE_VALUES_MAX`).
const NUMBERS_MAX: usize = 1_000;
const BITS_LEFT_OUT: u32 = 46;
/// The level at which the keys are the numbers themselves.
const EXACT: i64 = -1;
/// No level is higher: two buckets are left.
const LEVEL_MAX: i64 = 17;

/// Numbers, or buckets of them at a level, and how many came; in the order in which they came first.
#[derive(Clone, Debug)]
pub struct Histogram {
    level: i64,
    keys: Vec<(Number, i64)>,
}

impl Histogram {
    fn of(number: Number) -> Histogram {
        Histogram { level: EXACT, keys: vec![(number, 1)] }
    }

    /// The name of a key of another's level at this one.
    fn named(&self, key: Number, level: i64) -> Number {
        if self.level == level {
            key
        } else if level == EXACT {
            Number::Int(bucket(key.double(), self.level))
        } else if let Number::Int(key) = key {
            Number::Int(key >> (self.level - level))
        } else {
            key
        }
    }

    /// Whether it is the first of its name.
    fn count(&mut self, name: Number, many: i64) -> bool {
        if let Some((_, count)) = self.keys.iter_mut().find(|(key, _)| is_same(*key, name)) {
            *count += many;
            return false;
        }
        self.keys.push((name, many));
        true
    }

    fn put(&mut self, number: Number) {
        if self.count(self.named(number, EXACT), 1) {
            self.settle();
        }
    }

    fn add(&mut self, more: &Histogram) {
        while self.level < more.level {
            self.rise();
        }
        for (key, many) in &more.keys {
            self.count(self.named(*key, more.level), *many);
        }
        self.settle();
    }

    /// All of many that are exact, in order; `None` where they are too many numbers for that.
    fn of_few(states: &[Histogram]) -> Option<Histogram> {
        if states.iter().any(|state| state.level != EXACT) {
            return None;
        }
        let mut keys: Vec<(Number, i64)> = states.iter().flat_map(|state| &state.keys).copied().collect();
        keys.sort_by(|a, b| order(a.0, b.0));
        keys.dedup_by(|again, first| {
            let same = is_same(again.0, first.0);
            first.1 += if same { again.1 } else { 0 };
            same
        });
        (keys.len() <= NUMBERS_MAX).then_some(Histogram { level: EXACT, keys })
    }

    fn settle(&mut self) {
        while self.keys.len() > NUMBERS_MAX && self.level < LEVEL_MAX {
            self.rise();
        }
    }

    /// To the next level: of numbers buckets, of two buckets one.
    fn rise(&mut self) {
        let risen = Histogram { level: self.level + 1, keys: Vec::new() };
        let Histogram { level, keys } = std::mem::replace(self, risen);
        for (key, many) in keys {
            self.count(self.named(key, level), many);
        }
    }

    /// The number of this rank, counted from 1.
    fn ranked(&self, rank_of: impl FnOnce(i64) -> i64) -> Number {
        let rank = rank_of(self.keys.iter().map(|(_, many)| many).sum());
        match at_rank(&mut self.keys.clone(), rank) {
            Number::Int(key) if self.level != EXACT => middle(key, self.level),
            key => key,
        }
    }
}

/// The key that this rank falls on, or the last one; each time half of those that are left are looked at no more.
fn at_rank(mut keys: &mut [(Number, i64)], mut rank: i64) -> Number {
    while keys.len() > 1 {
        let (lower, (key, many), higher) = keys.select_nth_unstable_by(keys.len() / 2, |a, b| order(a.0, b.0));
        let below: i64 = lower.iter().map(|(_, many)| many).sum();
        if rank <= below {
            keys = lower;
        } else if rank <= below + *many || higher.is_empty() {
            return *key;
        } else {
            rank -= below + *many;
            keys = higher;
        }
    }
    keys.first().map_or(Number::Int(0), |(key, _)| *key)
}

/// Whether they are one key of a dictionary.
#[allow(clippy::float_cmp)] // that is what Python compares
fn is_same(a: Number, b: Number) -> bool {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => a == b,
        _ => a.double() == b.double(),
    }
}

fn order(a: Number, b: Number) -> std::cmp::Ordering {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => a.cmp(&b),
        _ => a.double().partial_cmp(&b.double()).unwrap_or(std::cmp::Ordering::Equal),
    }
}

/// The bucket of a number at a level; buckets are ordered as their numbers are.
fn bucket(number: f64, level: i64) -> i64 {
    let key = number.abs().to_bits().cast_signed() >> (i64::from(BITS_LEFT_OUT) + level);
    if number >= 0.0 { key } else { !key }
}

/// The number that stands for a bucket.
fn middle(key: i64, level: i64) -> Number {
    let size = if key >= 0 { key } else { !key };
    if size == 0 {
        return Number::Int(0);
    }
    let shift = i64::from(BITS_LEFT_OUT) + level;
    let end = (i128::from(size + 1) << shift) - 1;
    let low = f64::from_bits((size << shift).cast_unsigned());
    let high = f64::from_bits(u64::try_from(end).unwrap_or(u64::MAX).min(f64::MAX.to_bits()));
    let middle = low / 2.0 + high / 2.0;
    Number::Float(if key >= 0 { middle } else { -middle })
}

impl Kept for Histogram {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 2);
        write_int(out, self.level);
        write_map(out, self.keys.len());
        for (key, many) in &self.keys {
            key.write(out);
            write_int(out, *many);
        }
    }
}

/// The monoid of `percentile`, by nearest rank: always a number that came, not one between two.
pub struct Percentile {
    share: (i128, i128),
}

impl Percentile {
    /// Of this percentage. `None`: it has more digits than are reckoned with here.
    pub fn of(percentage: &Value) -> Option<Percentile> {
        let text = match percentage {
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => return None,
        };
        let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
        let top: i128 = [whole, rest].concat().parse().ok()?;
        let bottom = 10_i128.checked_pow(u32::try_from(rest.len()).ok()? + 2)?;
        (top >= 0 && top <= bottom && bottom < 1 << 62).then_some(Percentile { share: (top, bottom) })
    }

    fn rank(&self, many: i64) -> i64 {
        let (top, bottom) = self.share;
        let up = -(-i128::from(many) * top).div_euclid(bottom);
        i64::try_from(up.max(1)).unwrap_or(i64::MAX)
    }
}

impl Monoid for Percentile {
    type Kept = Histogram;
    type States = Vec<Histogram>;

    fn lift(&self, given: &Value, _event: At<'_>) -> Option<Histogram> {
        Number::of(given).map(|number| Histogram::of(number.whole()))
    }

    fn combine(&self, kept: &mut Histogram, more: Histogram) {
        kept.add(&more);
    }

    fn absorb(&self, kept: &mut Histogram, given: &Value, _event: At<'_>) -> Change {
        let Some(number) = Number::of(given) else { return Change::None };
        kept.put(number.whole());
        Change::Some
    }

    fn total<'a>(&self, states: &'a [Histogram]) -> Option<Cow<'a, Histogram>> {
        if states.len() > 1
            && let Some(total) = Histogram::of_few(states)
        {
            return Some(Cow::Owned(total));
        }
        together(states, Histogram::add)
    }

    fn result(&self, kept: Option<&Histogram>, _asked: Asked<'_>) -> Value {
        match kept {
            None => Value::Null,
            Some(Histogram { level: EXACT, keys }) if keys.len() == 1 => keys[0].0.value(),
            Some(histogram) => histogram.ranked(|many| self.rank(many)).value(),
        }
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Histogram> {
        if stored.list()? != 2 {
            return Err(Beyond);
        }
        let level = stored.int()?;
        let size = stored.map()?;
        if !(EXACT..=LEVEL_MAX).contains(&level) || size == 0 || size > NUMBERS_MAX {
            return Err(Beyond);
        }
        let keys = (0..size).map(|_| Ok((Number::read(stored)?, stored.int()?))).collect::<Here<Vec<_>>>()?;
        let named = |(key, _): &(Number, i64)| level == EXACT || matches!(key, Number::Int(_));
        if keys.iter().all(named) { Ok(Histogram { level, keys }) } else { Err(Beyond) }
    }
}
