//! Numbers (`onefold.language.scalars.amounts`). What is not defined, or past what a double holds, is missing.

use std::cmp::Ordering;

use super::{Given, number_of};
use crate::numbers::order;
use crate::value::Value;

/// Integers up to this are doubles, too.
const EXACT: i64 = 1 << 53;
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// A number that every store keeps (`onefold.language.values.number`).
#[allow(clippy::cast_precision_loss)] // the nearest double, as Python takes
pub fn stored(value: &Value) -> Value {
    match value {
        Value::Int(number) if (-EXACT..=EXACT).contains(number) => Value::Int(*number),
        Value::Int(number) => Value::Float(*number as f64),
        Value::Float(number) => Value::Float(*number),
        _ => Value::Null,
    }
}

/// A whole number that was found as a double.
#[allow(clippy::cast_possible_truncation)] // within 2^53
fn whole(number: f64) -> Value {
    match number {
        _ if !number.is_finite() => Value::Null,
        _ if number.abs() <= EXACT_FLOAT => Value::Int(number as i64),
        _ => Value::Float(number),
    }
}

pub fn absolute(given: &Given<'_>) -> Value {
    match &*given[0] {
        Value::Int(number) => number.checked_abs().map_or(Value::Null, Value::Int),
        Value::Float(number) => Value::Float(number.abs()),
        _ => Value::Null,
    }
}

/// Of two numbers that are equally near the one farther from 0.
pub fn rounded(given: &Given<'_>) -> Value {
    let Value::Int(digits) = *given[1] else { return Value::Null };
    match &*given[0] {
        Value::Float(number) if digits == 0 || number.abs() > EXACT_FLOAT => whole(nearest(*number)),
        Value::Float(number) => {
            let scale = SCALES[usize::try_from(digits).unwrap_or_default().min(15)];
            Value::Float((nearest(number * scale) + 0.0) / scale)
        }
        other => stored(other),
    }
}

const SCALES: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

fn nearest(number: f64) -> f64 {
    let mut whole = number.abs().floor();
    if number.abs() - whole >= 0.5 {
        whole += 1.0;
    }
    if number >= 0.0 { whole } else { -whole }
}

pub fn floor(given: &Given<'_>) -> Value {
    if let Value::Float(number) = &*given[0] { whole(number.floor()) } else { stored(&given[0]) }
}

pub fn ceil(given: &Given<'_>) -> Value {
    if let Value::Float(number) = &*given[0] { whole(number.ceil()) } else { stored(&given[0]) }
}

pub fn root(given: &Given<'_>) -> Value {
    number_of(&given[0]).filter(|number| *number >= 0.0).map_or(Value::Null, |number| Value::Float(number.sqrt()))
}

pub fn power(given: &Given<'_>) -> Value {
    let (Some(base), Some(exponent)) = (number_of(&given[0]), number_of(&given[1])) else { return Value::Null };
    let found = base.powf(exponent);
    if found.is_finite() { Value::Float(found) } else { Value::Null }
}

pub fn least(given: &Given<'_>) -> Value {
    first_by(given, Ordering::Less)
}

pub fn greatest(given: &Given<'_>) -> Value {
    first_by(given, Ordering::Greater)
}

/// The first of the numbers that none stands so before.
fn first_by(given: &Given<'_>, wanted: Ordering) -> Value {
    let mut numbers = given.iter().filter(|value| matches!(&***value, Value::Int(_) | Value::Float(_)));
    let Some(mut found) = numbers.next() else { return Value::Null };
    for value in numbers {
        if order(value, found) == Some(wanted) {
            found = value;
        }
    }
    found.clone().into_owned()
}
