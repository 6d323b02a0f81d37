//! Numbers as every store keeps them (`onefold.language.values.number`), and the least and greatest of them.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::monoid::{Asked, Kept, Monoid};
use super::{At, Change, State};
use crate::msgpack::{Reader, write_float, write_int};
use crate::value::Value;
use crate::{Beyond, Here};

const EXACT: i64 = 1 << 53;

/// A number. Integers are exact as doubles, too, so that comparing as doubles is comparing exactly.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// The number that a value is, if it is one. Integers past 2^53 become doubles.
    pub fn of(value: &Value) -> Option<Number> {
        match value {
            Value::Int(number) => Some(Number::of_int(*number)),
            Value::Float(number) => Some(Number::Float(*number)),
            _ => None,
        }
    }

    #[allow(clippy::cast_precision_loss)] // to the nearest double, as Python's float()
    pub fn of_int(number: i64) -> Number {
        if (-EXACT..=EXACT).contains(&number) { Number::Int(number) } else { Number::Float(number as f64) }
    }

    /// The number as a double.
    #[allow(clippy::cast_precision_loss)] // exact
    pub fn double(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Float(number) => number,
        }
    }

    /// A whole double as the integer that it is, as long as integers are exact.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::float_cmp)] // whole, and within 2^53
    pub fn whole(self) -> Number {
        match self {
            Number::Float(number) if number.trunc() == number && number.abs() < Number::Int(EXACT).double() => {
                Number::Int(number as i64)
            }
            other => other,
        }
    }

    /// It as a value.
    pub fn value(self) -> Value {
        match self {
            Number::Int(number) => Value::Int(number),
            Number::Float(number) => Value::Float(number),
        }
    }

    /// The next number in these bytes.
    pub fn read(stored: &mut Reader<'_>) -> Here<Number> {
        match stored.value()? {
            Value::Int(number) if (-EXACT..=EXACT).contains(&number) => Ok(Number::Int(number)),
            Value::Float(number) => Ok(Number::Float(number)),
            _ => Err(Beyond),
        }
    }
}

impl Kept for Number {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Number::Int(number) => write_int(out, *number),
            Number::Float(number) => write_float(out, *number),
        }
    }

    fn into_state(self) -> State {
        State::Number(self)
    }

    fn of(state: &mut State) -> Option<&mut Number> {
        if let State::Number(number) = state { Some(number) } else { None }
    }
}

/// The monoid of `min` (`Less`) or `max` (`Greater`). Of equal numbers an integer is taken.
pub struct Extreme(pub Ordering);

impl Extreme {
    /// Whether the second number takes the place of the first.
    fn prefers(&self, kept: Number, other: Number) -> bool {
        match other.double().partial_cmp(&kept.double()) {
            Some(Ordering::Equal) => matches!((kept, other), (Number::Float(_), Number::Int(_))),
            order => order == Some(self.0),
        }
    }
}

impl Monoid for Extreme {
    type Kept = Number;
    type States = Vec<Number>;

    fn lift(&self, given: &Value, _event: At<'_>) -> Option<Number> {
        Number::of(given)
    }

    fn combine(&self, kept: &mut Number, more: Number) {
        if self.prefers(*kept, more) {
            *kept = more;
        }
    }

    fn absorb(&self, kept: &mut Number, given: &Value, _event: At<'_>) -> Change {
        match Number::of(given) {
            Some(number) if self.prefers(*kept, number) => {
                *kept = number;
                Change::Some
            }
            _ => Change::None,
        }
    }

    fn total<'a>(&self, states: &'a [Number]) -> Option<Cow<'a, Number>> {
        let choose = |kept, other| if self.prefers(kept, other) { other } else { kept };
        states.iter().copied().reduce(choose).map(Cow::Owned)
    }

    fn result(&self, kept: Option<&Number>, _asked: Asked<'_>) -> Value {
        kept.map_or(Value::Null, |number| number.value())
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Number> {
        Number::read(stored)
    }
}
