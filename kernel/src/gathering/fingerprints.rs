//! The messages of a batch, by what they are known by.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList};

use crate::incoming::Incoming;

/// What a message is known by; whoever sends it may choose it.
pub type Fingerprint = [u8; 16];

/// The same as Python's list of them (`onefold.core.batch.Batch.messages`), without an object for each.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Fingerprints(Vec<Fingerprint>);

#[pymethods]
impl Fingerprints {
    /// Of these events; None: some of them are not the kernel's.
    #[staticmethod]
    fn of(incoming: &Bound<'_, PyList>) -> Option<Fingerprints> {
        let of = |each: Bound<'_, PyAny>| each.cast::<Incoming>().ok().map(|event| event.borrow().fingerprint);
        incoming.iter().map(of).collect::<Option<_>>().map(Fingerprints)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __contains__(&self, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.0.contains(&fingerprint(message)?))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        PyList::new(py, self.0.iter().map(|message| PyBytes::new(py, message)))?.try_iter()
    }
}

/// The fingerprint in a Python object.
pub fn fingerprint(message: &Bound<'_, PyAny>) -> PyResult<Fingerprint> {
    let bytes = message.cast::<PyBytes>()?.as_bytes();
    bytes.try_into().map_err(|_| PyValueError::new_err("a fingerprint has 16 bytes"))
}

/// All of these fingerprints, whatever Python object holds them.
pub fn fingerprints(messages: &Bound<'_, PyAny>) -> PyResult<Vec<Fingerprint>> {
    match messages.cast::<Fingerprints>() {
        Ok(native) => Ok(native.get().0.clone()),
        Err(_) => messages.try_iter()?.map(|message| fingerprint(&message?)).collect(),
    }
}
