//! The functions of the language, as `onefold.language.functions` has them. What is not here stays in Python.

mod amounts;
mod clocks;
pub mod dated;
pub mod dates;
mod geo;
mod lists;
pub mod patterns;
mod text;

use std::borrow::Cow;

use crate::value::Value;

/// The values of a function's arguments, those that were left out by their defaults.
pub type Given<'a> = [Cow<'a, Value>];
/// A function whose value depends on its arguments alone. Total: of values that it is not for it gives `Null` or false.
pub type Function = fn(&Given<'_>) -> Value;

/// The function of this name, and how many arguments it takes: no fewer, and no more but where that is `None`.
///
/// Those of the calendar are in [`dated`], regular expressions in [`patterns`].
#[must_use]
pub fn of(name: &str) -> Option<(Function, usize, Option<usize>)> {
    let exactly = |function: Function, count: usize| Some((function, count, Some(count)));
    match name {
        "lower" => exactly(text::lower, 1),
        "upper" => exactly(text::upper, 1),
        "trim" => exactly(text::trim, 1),
        "length" => exactly(text::length, 1),
        "contains" => exactly(lists::contains, 2),
        "contains_any" => Some((lists::contains_any, 2, None)),
        "starts_with" => exactly(text::starts_with, 2),
        "ends_with" => exactly(text::ends_with, 2),
        "like" => exactly(text::like, 2),
        "replace" => exactly(text::replace, 3),
        "concat" => Some((text::concat, 2, None)),
        "substring" => exactly(text::substring, 3),
        "left" => exactly(text::left, 2),
        "right" => exactly(text::right, 2),
        "split" => exactly(text::split, 2),
        "to_string" => exactly(text::to_string, 1),
        "element" => exactly(lists::element, 2),
        "abs" => exactly(amounts::absolute, 1),
        "round" => exactly(amounts::rounded, 2),
        "floor" => exactly(amounts::floor, 1),
        "ceil" => exactly(amounts::ceil, 1),
        "sqrt" => exactly(amounts::root, 1),
        "power" => exactly(amounts::power, 2),
        "least" => Some((amounts::least, 2, None)),
        "greatest" => Some((amounts::greatest, 2, None)),
        "to_number" => exactly(text::to_number, 1),
        "geo_distance" => exactly(geo::distance, 4),
        _ => None,
    }
}

fn text_of(value: &Value) -> Option<&str> {
    if let Value::Str(text) = value { Some(text) } else { None }
}

#[allow(clippy::cast_precision_loss)] // the nearest double, as Python takes
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}
