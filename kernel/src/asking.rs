//! One expression by itself, for tests: they hold it against Python's.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::Beyond;
use crate::declared::Declared;
use crate::description::expression;
use crate::entries::Entries;
use crate::expression::{Person, Scope, Slots};
use crate::keeping::Due;
use crate::keeping::monoid::Asked;
use crate::value::Value;
use crate::zones::Zone;

struct NoSlots;

impl Slots for NoSlots {
    fn value(&self, _slot: usize, _level: Option<f64>, _now_ms: i64, _due: &mut Due) -> Value {
        Value::Null
    }

    fn value_in(&self, _zone: Option<&'static Zone>, _slot: usize, _asked: Asked<'_>) -> Value {
        Value::Null
    }
}

/// The value of an expression for somebody who has declared this and has nothing else, and when it wakes them.
///
/// `declared`: name → value. `due_ms`: when they are woken anyway. `ValueError`: beyond the kernel.
#[pyfunction]
pub fn ask<'py>(
    described: &Bound<'py, PyAny>,
    declared: &Bound<'py, PyAny>,
    now_ms: i64,
    due_ms: i64,
) -> PyResult<(Bound<'py, PyAny>, i64)> {
    let refused = |_: Beyond| PyValueError::new_err("this is beyond the kernel");
    let expression = Value::of(described).and_then(|described| expression(&described)).map_err(refused)?;
    let Value::Map(declared) = Value::of(declared).map_err(refused)? else { return Err(refused(Beyond)) };
    let declared = Declared::of(declared);
    let person = Person {
        slots: &NoSlots,
        computed: &Entries::default(),
        audiences: &Entries::default(),
        declared: &declared,
        identifiers: &[],
        first_seen_ms: 0,
        last_seen_ms: 0,
        events: 0,
        due_ms: due_ms.into(),
    };
    let scope = Scope { fields: &[], at_ms: 0, now_ms, person: Some(&person), item: None };
    let found = expression.value(&scope).to_python(described.py())?;
    Ok((found, person.due_ms.get()))
}
