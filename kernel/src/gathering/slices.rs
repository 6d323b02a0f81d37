//! Messages that are not in their generations yet, by the first byte of their fingerprints.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::gathering::Messages;
use crate::gathering::fingerprints::{Fingerprint, fingerprint, fingerprints};
use crate::numbered::Secret;

const SLICES: usize = 256;

/// `onefold.storage.embedded.waiting.Slices`.
#[pyclass(module = "onefold_kernel")]
pub struct Slices(Vec<HashMap<Fingerprint, i64, Secret>>);

type Row<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

#[pymethods]
impl Slices {
    #[new]
    fn new() -> Slices {
        Slices(vec![HashMap::default(); SLICES])
    }

    fn clear(&mut self, number: usize) {
        self.0[number] = HashMap::default();
    }

    fn add(&mut self, messages: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
        if let Ok(native) = messages.cast::<Messages>() {
            return Ok(native.borrow().0.iter().map(|(message, at_ms)| self.add_one(message, at_ms)).min());
        }
        let mut oldest = None;
        for (message, at_ms) in messages.cast::<PyDict>()? {
            let at_ms = self.add_one(fingerprint(&message)?, at_ms.extract()?);
            oldest = Some(oldest.map_or(at_ms, |old: i64| old.min(at_ms)));
        }
        Ok(oldest)
    }

    fn forget(&mut self, since_ms: i64) {
        for slice in &mut self.0 {
            slice.retain(|_, at_ms| *at_ms >= since_ms);
        }
    }

    fn among<'py>(&self, messages: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(messages.py());
        for message in fingerprints(messages)? {
            if let Some(at_ms) = self.0[usize::from(message[0])].get(&message) {
                found.set_item(PyBytes::new(messages.py(), &message), *at_ms)?;
            }
        }
        Ok(found)
    }

    fn span(&self, number: usize) -> Option<(i64, i64)> {
        let times = self.0[number].values();
        Some((*times.clone().min()?, *times.max()?))
    }

    fn rows<'py>(&self, py: Python<'py>, number: usize, first_ms: i64, before_ms: i64) -> Vec<Row<'py>> {
        let within = |at_ms: i64| (first_ms..before_ms).contains(&at_ms);
        let mut rows: Vec<_> = self.0[number].iter().filter(|(_, at_ms)| within(**at_ms)).collect();
        rows.sort_unstable();
        rows.into_iter()
            .map(|(message, at_ms)| (PyBytes::new(py, message), PyBytes::new(py, &at_ms.to_be_bytes())))
            .collect()
    }
}

impl Slices {
    /// Of a message that is there already the later time stays.
    fn add_one(&mut self, message: Fingerprint, at_ms: i64) -> i64 {
        let there = self.0[usize::from(message[0])].entry(message).or_insert(at_ms);
        *there = at_ms.max(*there);
        at_ms
    }
}
