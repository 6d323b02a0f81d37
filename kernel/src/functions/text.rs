//! Strings (`onefold.language.scalars.text`). Characters are code points, and places count from 0.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::amounts::stored;
use super::{Given, text_of};
use crate::texts::repr;
use crate::value::Value;

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];
/// The longest string that a function makes (`onefold.limits.TEXT_MAX_CHARS`).
const CHARS_MAX: usize = 32 * 1024;
const LONGEST_NUMBER: usize = 700;
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

fn text(text: &str) -> Value {
    Value::Str(text.into())
}

pub fn lower(given: &Given<'_>) -> Value {
    text_of(&given[0]).map_or(Value::Null, |value| in_case(value, "lower", str::to_ascii_lowercase))
}

pub fn upper(given: &Given<'_>) -> Value {
    text_of(&given[0]).map_or(Value::Null, |value| in_case(value, "upper", str::to_ascii_uppercase))
}

/// What Python makes of a string: of letters past ASCII it knows others than Rust does, as they came with Unicode.
fn in_case(value: &str, method: &str, of_ascii: impl Fn(&str) -> String) -> Value {
    if value.is_ascii() {
        return text(&of_ascii(value));
    }
    let made = Python::attach(|py| PyString::new(py, value).call_method0(method)?.extract::<String>());
    made.map_or(Value::Null, |made| text(&made))
}

pub fn trim(given: &Given<'_>) -> Value {
    text_of(&given[0]).map_or(Value::Null, |value| text(value.trim_matches(BLANK)))
}

fn count(size: usize) -> Value {
    i64::try_from(size).map_or(Value::Null, Value::Int)
}

pub fn length(given: &Given<'_>) -> Value {
    match &*given[0] {
        Value::Str(value) => count(value.chars().count()),
        Value::List(items) => count(items.len()),
        _ => Value::Null,
    }
}

/// Whether both are strings of which this is so.
fn both(given: &Given<'_>, holds: impl Fn(&str, &str) -> bool) -> Value {
    let is_so = text_of(&given[0]).zip(text_of(&given[1])).is_some_and(|(whole, part)| holds(whole, part));
    Value::Bool(is_so)
}

pub fn starts_with(given: &Given<'_>) -> Value {
    both(given, |whole, part| whole.starts_with(part))
}

pub fn ends_with(given: &Given<'_>) -> Value {
    both(given, |whole, part| whole.ends_with(part))
}

/// The whole text is like the pattern: `%` is any characters, `_` is one, anything else is itself.
pub fn like(given: &Given<'_>) -> Value {
    both(given, is_like)
}

fn is_like(value: &str, pattern: &str) -> bool {
    let (mut value, mut pattern) = (value.chars(), pattern.chars());
    let mut again: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = pattern.clone();
        match ahead.next() {
            Some('%') => {
                pattern = ahead;
                again = Some((value.clone(), pattern.clone()));
                continue;
            }
            Some(wanted) if value.clone().next().is_some_and(|each| wanted == '_' || each == wanted) => {
                value.next();
                pattern = ahead;
                continue;
            }
            None if value.as_str().is_empty() => return true,
            _ => {}
        }
        // The latest `%` takes one character more.
        let Some((from, behind)) = &mut again else { return false };
        if from.next().is_none() {
            return false;
        }
        (value, pattern) = (from.clone(), behind.clone());
    }
}

pub fn replace(given: &Given<'_>) -> Value {
    let (Some(value), Some(old), Some(new)) = (text_of(&given[0]), text_of(&given[1]), text_of(&given[2])) else {
        return Value::Null;
    };
    if old.is_empty() {
        return text(value);
    }
    let (was, is) = (old.chars().count(), new.chars().count());
    if is > was && value.chars().count() + value.matches(old).count() * (is - was) > CHARS_MAX {
        return Value::Null;
    }
    text(&value.replace(old, new))
}

pub fn concat(given: &Given<'_>) -> Value {
    let Some(parts) = given.iter().map(|part| text_of(part)).collect::<Option<Vec<_>>>() else { return Value::Null };
    let size: usize = parts.iter().map(|part| part.chars().count()).sum();
    if size > CHARS_MAX { Value::Null } else { text(&parts.concat()) }
}

pub fn substring(given: &Given<'_>) -> Value {
    part(text_of(&given[0]), place(&given[1]), place(&given[2]))
}

pub fn left(given: &Given<'_>) -> Value {
    part(text_of(&given[0]), Some(0), place(&given[1]))
}

fn part(value: Option<&str>, first: Option<usize>, many: Option<usize>) -> Value {
    let (Some(value), Some(first), Some(many)) = (value, first, many) else { return Value::Null };
    let rest = behind(value, first);
    text(&rest[..rest.len() - behind(rest, many).len()])
}

/// What comes after so many characters.
fn behind(value: &str, many: usize) -> &str {
    value.char_indices().nth(many).map_or("", |(at, _)| &value[at..])
}

pub fn right(given: &Given<'_>) -> Value {
    let (Some(value), Some(many)) = (text_of(&given[0]), place(&given[1])) else { return Value::Null };
    text(behind(value, value.chars().count().saturating_sub(many)))
}

pub fn split(given: &Given<'_>) -> Value {
    match (text_of(&given[0]), text_of(&given[1])) {
        (Some(value), Some(separator)) if !separator.is_empty() => {
            Value::List(value.split(separator).map(text).collect())
        }
        _ => Value::Null,
    }
}

/// The number that a string says, and a number itself.
pub fn to_number(given: &Given<'_>) -> Value {
    let Some(value) = text_of(&given[0]) else { return stored(&given[0]) };
    let written = value.trim_matches(BLANK);
    let Some(is_whole) = number_written(written) else { return Value::Null };
    if is_whole && let Ok(number) = written.parse::<i64>() {
        return stored(&Value::Int(number));
    }
    written.parse::<f64>().ok().filter(|number| number.is_finite()).map_or(Value::Null, Value::Float)
}

/// Whether it is a number without point and power; `None`: it is none.
fn number_written(text: &str) -> Option<bool> {
    if text.len() > LONGEST_NUMBER {
        return None;
    }
    let rest = digits(text.strip_prefix(['+', '-']).unwrap_or(text), 300)?;
    let (is_whole, rest) = match rest.strip_prefix('.') {
        Some(fraction) => (false, digits(fraction, 300)?),
        None => (true, rest),
    };
    let Some(power) = rest.strip_prefix(['e', 'E']) else { return rest.is_empty().then_some(is_whole) };
    digits(power.strip_prefix(['+', '-']).unwrap_or(power), 3)?.is_empty().then_some(false)
}

/// What comes after digits, of which there must be one, and no more than so many.
fn digits(text: &str, most: usize) -> Option<&str> {
    let rest = text.trim_start_matches(|each: char| each.is_ascii_digit());
    (1..=most).contains(&(text.len() - rest.len())).then_some(rest)
}

pub fn to_string(given: &Given<'_>) -> Value {
    match &*given[0] {
        Value::Str(value) => text(value),
        Value::Bool(truth) => text(if *truth { "true" } else { "false" }),
        Value::Int(number) => text(&number.to_string()),
        #[allow(clippy::cast_possible_truncation)] // within 2^53
        Value::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT_FLOAT => {
            text(&(*number as i64).to_string())
        }
        Value::Float(number) => text(&repr(*number)),
        _ => Value::Null,
    }
}

/// A number that counts something: whole and not negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative; past all texts it is past them all
pub fn place(value: &Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(*number).ok(),
        Value::Float(number) if number.fract() == 0.0 && *number >= 0.0 => Some(*number as usize),
        _ => None,
    }
}
