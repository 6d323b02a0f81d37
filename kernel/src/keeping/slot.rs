//! One slot by itself, for tests: they hold each family of states against Python's.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::calendars::zone_of;
use super::description::Description;
use super::monoid::Asked;
use super::{At, Change, Due, Expiry, Keeping, State, of, opened};
use crate::Beyond;
use crate::value::Value;

/// The state of one slot of an otherwise empty profile.
#[pyclass(module = "onefold_kernel")]
pub struct Slot {
    keeping: Box<dyn Keeping>,
    state: Option<State>,
    due: Due,
}

fn refused(_: Beyond) -> PyErr {
    PyValueError::new_err("this is beyond the kernel")
}

#[pymethods]
impl Slot {
    /// `ValueError`: the kernel does not know such a slot.
    #[new]
    fn new(function: &str, params: &Bound<'_, PyDict>, due_ms: i64) -> PyResult<Slot> {
        let described = Description::of(function, params).map_err(refused)?;
        let keeping = of(&described).ok_or_else(|| refused(Beyond))?;
        Ok(Slot { keeping, state: None, due: Due(due_ms) })
    }

    /// Put an event in; whether the slot's value may be another. `ValueError`: beyond the kernel.
    fn put(&mut self, given: &Bound<'_, PyAny>, bits: u16, at_ms: i64, tie: &[u8], now_ms: i64) -> PyResult<bool> {
        let given = Value::of(given).map_err(refused)?;
        opened(&*self.keeping, &mut self.state).map_err(refused)?;
        let change = self.keeping.put(&mut self.state, &given, bits, At { at_ms, tie, now_ms }, &mut self.due);
        Ok(change == Change::Some)
    }

    /// Put all events of another slot of this kind in. `ValueError`: beyond the kernel.
    fn merge(&mut self, other: &mut Slot) -> PyResult<()> {
        for slot in [&mut self.state, &mut other.state] {
            opened(&*self.keeping, slot).map_err(refused)?;
        }
        let (Some(mine), Some(theirs)) = (&mut self.state, &mut other.state) else { return Err(refused(Beyond)) };
        self.keeping.merge(mine, theirs).map_err(refused)
    }

    /// Its value at an instant; see `Keeping::value`. `person`: the zone that its person names.
    #[pyo3(signature = (now_ms, level=None, person=None))]
    fn value<'py>(
        &mut self,
        py: Python<'py>,
        now_ms: i64,
        level: Option<f64>,
        person: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        opened(&*self.keeping, &mut self.state).map_err(refused)?;
        let person = person.map(Value::of).transpose().map_err(refused)?;
        let asked = Asked { now_ms, due: &mut self.due, level };
        self.keeping.value_of_person(self.state.as_mut(), zone_of(None, person.as_ref()), asked).to_python(py)
    }

    /// What time does to it: (its value may be another, nothing is left, when that next happens); `None` without state.
    fn expire(&mut self, now_ms: i64) -> PyResult<Option<(bool, bool, i64)>> {
        opened(&*self.keeping, &mut self.state).map_err(refused)?;
        let Some(state) = &mut self.state else { return Ok(None) };
        if self.keeping.expiry() == Expiry::Beyond {
            return Err(refused(Beyond));
        }
        let changed = self.keeping.gone_ms(state) <= now_ms;
        let is_empty = self.keeping.expire(state, now_ms);
        let due_ms = self.keeping.gone_ms(state);
        if is_empty {
            self.state = None;
        }
        Ok(Some((changed, is_empty, due_ms)))
    }

    /// Msgpack of its state; `None` where there is none.
    fn state<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        self.state.as_ref()?.write(&mut out);
        Some(PyBytes::new(py, &out))
    }

    /// Take this for its state, which is read when the slot is next used.
    fn load(&mut self, stored: &[u8]) {
        self.state = Some(State::Stored(stored.into()));
    }

    #[getter]
    fn due_ms(&self) -> i64 {
        self.due.0
    }

    #[setter]
    fn set_due_ms(&mut self, due_ms: i64) {
        self.due.0 = due_ms;
    }
}
