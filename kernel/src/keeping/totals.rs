//! `sum` and `avg`: exact sums, whatever the order of their numbers.
//!
//! Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997; the value is the sum rounded once.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use super::monoid::{Asked, Kept, Monoid, together};
use super::numbers::Number;
use super::{At, Change};
use crate::msgpack::{Reader, write_float, write_int, write_list};
use crate::value::Value;
use crate::{Beyond, Here};

const INT_MAX: i64 = 1 << 62;
/// A larger number does not count in a sum, so that no sum of any number of events can overflow a double.
const SUMMABLE_MAX: f64 = 1e290;

/// How many numbers there were, the sum of integers, and non-overlapping partial sums of the others.
#[derive(Clone, Debug)]
pub struct Total {
    pub many: i64,
    pub int: i64,
    pub parts: SmallVec<[f64; 2]>,
}

impl Total {
    /// One number; `None`: it does not count.
    pub fn of(number: Number) -> Option<Total> {
        match number {
            Number::Int(int) => Some(Total { many: 1, int, parts: SmallVec::new() }),
            Number::Float(part) => is_summable(part).then(|| Total { many: 1, int: 0, parts: smallvec![part] }),
        }
    }

    /// One number more; whether it counts.
    pub fn absorb(&mut self, number: Number) -> bool {
        match number {
            Number::Int(int) => self.add_int(int),
            Number::Float(part) if is_summable(part) => self.grow(part),
            Number::Float(_) => return false,
        }
        self.many += 1;
        true
    }

    /// All of another's.
    pub fn combine(&mut self, more: &Total) {
        self.many += more.many;
        for part in &more.parts {
            self.grow(*part);
        }
        self.add_int(more.int);
    }

    /// Without another's.
    pub fn remove(&mut self, gone: &Total) {
        self.many -= gone.many;
        for part in &gone.parts {
            self.grow(-part);
        }
        self.add_int(-gone.int);
    }

    /// What an integer brings over the bound becomes two doubles, which are exact.
    fn add_int(&mut self, more: i64) {
        if more == 0 {
            return;
        }
        let sum = self.int + more; // both are within 2^62
        if -INT_MAX < sum && sum < INT_MAX {
            self.int = sum;
            return;
        }
        let (low, high) = halves(i128::from(sum));
        self.int = 0;
        self.grow(high);
        self.grow(low);
    }

    /// Add a double exactly: Shewchuk's GROW-EXPANSION. One or two partial sums, which are all that most totals have,
    /// are taken by themselves (Knuth's TWO-SUM).
    pub fn grow(&mut self, x: f64) {
        match *self.parts.as_slice() {
            [y] => {
                let (high, low) = two_sum(x, y);
                self.set(&[low], high);
            }
            [y, z] => {
                let (middle, low) = two_sum(x, y);
                let (high, middle) = two_sum(middle, z);
                self.set(&[low, middle], high);
            }
            _ => self.grow_any(x),
        }
    }

    /// The parts that are not zero, and the highest.
    fn set(&mut self, lower: &[f64], high: f64) {
        self.parts.clear();
        self.parts.extend(lower.iter().copied().filter(|part| *part != 0.0));
        self.parts.push(high);
    }

    fn grow_any(&mut self, mut x: f64) {
        let mut kept = 0;
        for i in 0..self.parts.len() {
            let mut y = self.parts[i];
            if x.abs() < y.abs() {
                (x, y) = (y, x);
            }
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                self.parts[kept] = low;
                kept += 1;
            }
            x = high;
        }
        self.parts.truncate(kept);
        self.parts.push(x);
    }

    /// The sum, rounded once.
    pub fn sum(&self) -> Number {
        match (self.int, self.parts.as_slice()) {
            (int, []) => Number::of_int(int),
            (0, [x]) => Number::Float(*x),
            (0, [x, y]) => Number::Float(x + y),
            (int, parts) => {
                let (low, high) = halves(i128::from(int));
                Number::Float(exact_sum([high, low].into_iter().chain(parts.iter().copied())))
            }
        }
    }

    pub fn read(stored: &mut Reader<'_>) -> Here<Total> {
        let size = stored.list()?;
        let (many, int) = (stored.int()?, stored.int()?);
        if int <= -INT_MAX || int >= INT_MAX {
            return Err(Beyond);
        }
        let parts = (2..size).map(|_| part(stored)).collect::<Here<_>>()?;
        if size < 2 { Err(Beyond) } else { Ok(Total { many, int, parts }) }
    }
}

impl Kept for Total {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 2 + self.parts.len());
        write_int(out, self.many);
        write_int(out, self.int);
        for part in &self.parts {
            write_float(out, *part);
        }
    }
}

fn part(stored: &mut Reader<'_>) -> Here<f64> {
    match Number::read(stored)? {
        Number::Float(part) if part.is_finite() => Ok(part),
        _ => Err(Beyond),
    }
}

fn is_summable(number: f64) -> bool {
    (-SUMMABLE_MAX..=SUMMABLE_MAX).contains(&number)
}

/// Two doubles whose exact sum an integer is, the lower one first.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // what the higher one misses the lower one has
pub fn halves(whole: i128) -> (f64, f64) {
    let high = whole as f64;
    ((whole - high as i128) as f64, high)
}

/// The sum as a double, and what it misses.
fn two_sum(x: f64, y: f64) -> (f64, f64) {
    let high = x + y;
    let other = high - y;
    (high, (y - (high - other)) + (x - other))
}

/// The sum rounded once, as Python's `math.fsum`: half to even also where three partial sums decide.
#[allow(clippy::float_cmp)] // exactly
fn exact_sum(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut total = Total { many: 0, int: 0, parts: SmallVec::new() };
    for number in numbers.filter(|number| *number != 0.0) {
        total.grow_any(number);
    }
    total.parts.retain(|part| *part != 0.0);
    let mut parts = total.parts.into_iter().rev();
    let Some(mut high) = parts.next() else { return 0.0 };
    let mut low = 0.0;
    for part in parts.by_ref() {
        let sum = high + part;
        low = part - (sum - high);
        high = sum;
        if low != 0.0 {
            break;
        }
    }
    match parts.next() {
        Some(next) if (low < 0.0 && next < 0.0) || (low > 0.0 && next > 0.0) => {
            let twice = low * 2.0;
            let up = high + twice;
            if twice == up - high { up } else { high }
        }
        _ => high,
    }
}

/// The monoid of `sum`, or of `avg`.
pub struct Totals {
    pub average: bool,
}

impl Monoid for Totals {
    type Kept = Total;
    type States = Vec<Total>;

    const RUNNING: bool = true;

    fn lift(&self, given: &Value, _event: At<'_>) -> Option<Total> {
        Number::of(given).and_then(Total::of)
    }

    fn combine(&self, kept: &mut Total, more: Total) {
        kept.combine(&more);
    }

    fn remove(&self, kept: &mut Total, gone: &Total) {
        kept.remove(gone);
    }

    fn absorb(&self, kept: &mut Total, given: &Value, _event: At<'_>) -> Change {
        match Number::of(given) {
            Some(number) if kept.absorb(number) => Change::Some,
            _ => Change::None,
        }
    }

    fn total<'a>(&self, states: &'a [Total]) -> Option<Cow<'a, Total>> {
        together(states, Total::combine)
    }

    #[allow(clippy::cast_precision_loss)] // nobody has 2^53 events
    fn result(&self, kept: Option<&Total>, _asked: Asked<'_>) -> Value {
        match kept {
            None if self.average => Value::Null,
            None => Value::Int(0),
            Some(total) if self.average => Value::Float(total.sum().double() / total.many as f64),
            Some(total) => total.sum().value(),
        }
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Total> {
        Total::read(stored)
    }
}
