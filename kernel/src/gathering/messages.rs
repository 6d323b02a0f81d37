//! Which messages were admitted, and when.

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyList};

use crate::gathering::fingerprints::{Fingerprint, fingerprint, fingerprints};
use crate::gathering::ordered::Ordered;
use crate::msgpack::{write_bytes, write_int, write_map};
use crate::numbered::Secret;

/// `onefold.core.gathered.Messages`.
#[pyclass(module = "onefold_kernel")]
#[derive(Default)]
pub struct Messages(pub Ordered<Fingerprint, Secret>);

#[pymethods]
impl Messages {
    #[new]
    fn new() -> Messages {
        Messages::default()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __contains__(&self, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.0.contains(&fingerprint(message)?))
    }

    fn __getitem__(&self, message: &Bound<'_, PyAny>) -> PyResult<i64> {
        self.get(message)?.ok_or_else(|| PyKeyError::new_err(message.clone().unbind()))
    }

    fn __setitem__(&mut self, message: &Bound<'_, PyAny>, at_ms: i64) -> PyResult<()> {
        self.0.set(fingerprint(message)?, at_ms);
        Ok(())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.keys(py)?.try_iter()
    }

    fn get(&self, message: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
        Ok(self.0.get(&fingerprint(message)?))
    }

    #[allow(clippy::needless_pass_by_value)] // as Python calls it
    #[pyo3(signature = (message, default=None))]
    fn pop(&mut self, message: &Bound<'_, PyAny>, default: Option<i64>) -> PyResult<Option<i64>> {
        Ok(self.0.remove(&fingerprint(message)?).or(default))
    }

    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let keys: Vec<_> = self.0.iter().map(|(message, _)| PyBytes::new(py, &message)).collect();
        PyList::new(py, keys)
    }

    fn values(&self) -> Vec<i64> {
        self.0.iter().map(|(_, at_ms)| at_ms).collect()
    }

    fn items<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, i64)> {
        self.0.iter().map(|(message, at_ms)| (PyBytes::new(py, &message), at_ms)).collect()
    }

    fn among<'py>(&self, messages: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(messages.py());
        if self.0.is_empty() {
            return Ok(found);
        }
        for message in fingerprints(messages)? {
            if let Some(at_ms) = self.0.get(&message) {
                found.set_item(PyBytes::new(messages.py(), &message), at_ms)?;
            }
        }
        Ok(found)
    }

    /// As msgpack.
    fn encoded<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut out = Vec::with_capacity(28 * self.0.len() + 5);
        write_map(&mut out, self.0.len());
        for (message, at_ms) in self.0.iter() {
            write_bytes(&mut out, &message);
            write_int(&mut out, at_ms);
        }
        PyBytes::new(py, &out)
    }
}
