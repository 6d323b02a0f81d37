//! Values as text: numbers as Python writes them, and what stands for a value in a tally.

use std::borrow::Cow;

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

/// What stands for a value in a tally (`onefold.language.keeping.aggregates.text_of`): a letter for its kind, and it as
/// text.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    /// `s`, `b` or `n`.
    pub kind: u8,
    pub rest: Cow<'a, str>,
}

impl<'a> Text<'a> {
    /// `None` for what is neither a string, a number nor a boolean.
    #[must_use]
    pub fn of(value: &'a Value) -> Option<Text<'a>> {
        let (kind, rest) = match value {
            Value::Str(text) => (b's', Cow::Borrowed(&**text)),
            Value::Bool(truth) => (b'b', Cow::Borrowed(if *truth { "1" } else { "0" })),
            Value::Int(number) if (-EXACT..=EXACT).contains(number) => (b'n', number.to_string().into()),
            #[allow(clippy::cast_precision_loss)] // the nearest double, as Python takes
            Value::Int(number) => (b'n', repr(*number as f64).into()),
            #[allow(clippy::cast_possible_truncation)] // it has no fraction, and fits
            Value::Float(number) if number.fract() == 0.0 && number.abs() < EXACT_FLOAT => {
                (b'n', (*number as i64).to_string().into())
            }
            Value::Float(number) => (b'n', repr(*number).into()),
            _ => return None,
        };
        Some(Text { kind, rest })
    }
}

/// The same as one text.
#[must_use]
pub fn text_of(value: &Value) -> Option<String> {
    Text::of(value).map(|text| format!("{}{}", char::from(text.kind), text.rest))
}
