//! Lists (`onefold.language.scalars.lists`).

use super::Given;
use super::text::place;
use crate::numbers::same;
use crate::value::Value;

pub fn contains(given: &Given<'_>) -> Value {
    Value::Bool(has(&given[0], &given[1]))
}

pub fn contains_any(given: &Given<'_>) -> Value {
    Value::Bool(given[1..].iter().any(|part| has(&given[0], part)))
}

/// A string has this part, or a list this item.
fn has(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Str(whole), Value::Str(part)) => whole.contains(&**part),
        (Value::List(items), part) => items.iter().any(|item| same(item, part)),
        _ => false,
    }
}

pub fn element(given: &Given<'_>) -> Value {
    match (&*given[0], place(&given[1])) {
        (Value::List(items), Some(at)) => items.get(at).cloned().unwrap_or(Value::Null),
        _ => Value::Null,
    }
}
