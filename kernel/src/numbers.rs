//! Numbers as Python has them: integers against floats exactly, arithmetic that is total (`onefold.language.values`).

use std::cmp::Ordering;

use crate::value::Value;

/// Integers up to here are integers in every store; larger ones become doubles.
const EXACT: i128 = 1 << 53;
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// One of the four orders, or equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    NotEqual,
}

impl Op {
    /// The operator that is written so.
    #[must_use]
    pub fn of(text: &str) -> Option<Op> {
        Some(match text {
            "<" => Op::Less,
            "<=" => Op::AtMost,
            ">" => Op::More,
            ">=" => Op::AtLeast,
            "==" => Op::Equal,
            "!=" => Op::NotEqual,
            _ => return None,
        })
    }

    /// Whether it holds of two that stand so; `None`: of a value that is no number, of which only `!=` does.
    #[must_use]
    pub fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Op::Less => order == Some(Ordering::Less),
            Op::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Op::More => order == Some(Ordering::Greater),
            Op::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Op::Equal => order == Some(Ordering::Equal),
            Op::NotEqual => order != Some(Ordering::Equal),
        }
    }
}

/// How two numbers or two strings stand to each other; `None`: anything else, or NaN.
#[must_use]
pub fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Float(b)) => int_to_float(*a, *b),
        (Value::Float(a), Value::Int(b)) => int_to_float(*b, *a).map(Ordering::reverse),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Equal numbers, strings or booleans; a missing value, a list or an object equals nothing.
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => order(a, b) == Some(Ordering::Equal),
    }
}

#[allow(clippy::cast_possible_truncation)] // within what an integer holds
fn int_to_float(a: i64, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        None
    } else if b >= TWO_TO_63 {
        Some(Ordering::Less)
    } else if b < -TWO_TO_63 {
        Some(Ordering::Greater)
    } else {
        let whole = b.trunc();
        Some(a.cmp(&(whole as i64)).then_with(|| whole.partial_cmp(&b).unwrap_or(Ordering::Equal)))
    }
}

/// An operator of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
}

impl Sign {
    /// The operator that is written so.
    #[must_use]
    pub fn of(text: &str) -> Option<Sign> {
        Some(match text {
            "+" => Sign::Plus,
            "-" => Sign::Minus,
            "*" => Sign::Times,
            "/" => Sign::Over,
            "%" => Sign::Modulo,
            _ => return None,
        })
    }
}

/// Arithmetic of two numbers; of anything else, by zero, or past what a double holds: missing.
#[must_use]
pub fn arithmetic(sign: Sign, a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => of_ints(sign, *a, *b),
        _ => match (double(a), double(b)) {
            (Some(a), Some(b)) => of_floats(sign, a, b),
            _ => Value::Null,
        },
    }
}

/// The number with its sign turned; the least integer, which has none, is missing and must not come here.
#[must_use]
pub fn negate(value: &Value) -> Value {
    match value {
        Value::Int(number) => number.checked_neg().map_or(Value::Null, Value::Int),
        Value::Float(number) => Value::Float(-number),
        _ => Value::Null,
    }
}

#[allow(clippy::cast_precision_loss)] // the nearest double, as Python takes
fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

fn of_ints(sign: Sign, a: i64, b: i64) -> Value {
    let (wide_a, wide_b) = (i128::from(a), i128::from(b));
    match sign {
        Sign::Plus => bounded(wide_a + wide_b),
        Sign::Minus => bounded(wide_a - wide_b),
        Sign::Times => bounded(wide_a * wide_b),
        Sign::Over if b != 0 => Value::Float(ratio(a, b)),
        Sign::Modulo if b != 0 => bounded((wide_a % wide_b + wide_b) % wide_b),
        Sign::Over | Sign::Modulo => Value::Null,
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // the nearest double; within 2^53
fn bounded(number: i128) -> Value {
    if (-EXACT..=EXACT).contains(&number) { Value::Int(number as i64) } else { Value::Float(number as f64) }
}

/// The double nearest to the quotient, as Python's true division has it.
#[allow(clippy::cast_precision_loss)] // rounded once, from more bits than a double has
fn ratio(a: i64, b: i64) -> f64 {
    if i128::from(a).abs() <= EXACT && i128::from(b).abs() <= EXACT {
        return a as f64 / b as f64;
    }
    let (top, bottom) = (u128::from(a.unsigned_abs()), u128::from(b.unsigned_abs()));
    if top == 0 {
        return if b < 0 { -0.0 } else { 0.0 };
    }
    let shift = top.leading_zeros() - 1;
    let sticky = u128::from(!(top << shift).is_multiple_of(bottom));
    let size = (((top << shift) / bottom) | sticky) as f64 / (1_u128 << shift) as f64;
    if (a < 0) == (b < 0) { size } else { -size }
}

fn of_floats(sign: Sign, a: f64, b: f64) -> Value {
    let found = match sign {
        Sign::Plus => a + b,
        Sign::Minus => a - b,
        Sign::Times => a * b,
        Sign::Over | Sign::Modulo if b == 0.0 => return Value::Null,
        Sign::Over => a / b,
        Sign::Modulo => return Value::Float(modulo(a, b)),
    };
    if found.is_infinite() { Value::Null } else { Value::Float(found) }
}

/// What is left has the sign of the divisor, also where it is zero.
fn modulo(a: f64, b: f64) -> f64 {
    let left = a % b;
    if left == 0.0 {
        return 0.0_f64.copysign(b);
    }
    if (b < 0.0) == (left < 0.0) { left } else { left + b }
}
