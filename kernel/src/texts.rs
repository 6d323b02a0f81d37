//! Values as text: numbers as Python writes them, and what stands for a value in a tally.

use crate::value::Value;

/// Integers up to this are doubles, too.
const EXACT: i64 = 1 << 53;
/// The same.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// `repr` of a float: the fewest digits that read as the same number again.
#[must_use]
pub fn repr(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() { "nan" } else { ["inf", "-inf"][usize::from(number < 0.0)] }.into();
    }
    let written = format!("{number:e}");
    let (digits, power) = written.split_once('e').unwrap_or((&written, "0"));
    let power: i32 = power.parse().unwrap_or_default();
    if !(-4..16).contains(&power) {
        return format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs());
    }
    let written = number.to_string();
    if written.contains('.') { written } else { written + ".0" }
}

/// What stands for a value in a tally (`onefold.language.keeping.aggregates.text_of`); `None` for what is neither a
/// string, a number nor a boolean.
#[must_use]
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(format!("s{text}")),
        Value::Bool(truth) => Some(if *truth { "b1" } else { "b0" }.into()),
        Value::Int(number) if (-EXACT..=EXACT).contains(number) => Some(format!("n{number}")),
        #[allow(clippy::cast_precision_loss)] // the nearest double, as Python takes
        Value::Int(number) => Some(format!("n{}", repr(*number as f64))),
        #[allow(clippy::cast_possible_truncation)] // it has no fraction, and fits
        Value::Float(number) if number.fract() == 0.0 && number.abs() < EXACT_FLOAT => {
            Some(format!("n{}", *number as i64))
        }
        Value::Float(number) => Some(format!("n{}", repr(*number))),
        _ => None,
    }
}
