//! Filters of messages that were moved out of the way (`onefold.storage.embedded.filters`).

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::gathering::fingerprints::{Fingerprint, fingerprints};

const SLICES: usize = 256;

/// `onefold.storage.embedded.filters.Filters`.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Filters;

/// A filter's key, which ends in the number of its slice, and its bits, which stay where they are.
type Row<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pymethods]
impl Filters {
    #[staticmethod]
    fn slices<'py>(messages: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let mut has = [false; SLICES];
        for message in fingerprints(messages)? {
            has[usize::from(message[0])] = true;
        }
        let numbers: Vec<u8> = (0..=u8::MAX).filter(|number| has[usize::from(*number)]).collect();
        Ok(PyBytes::new(messages.py(), &numbers))
    }

    #[staticmethod]
    fn perhaps<'py>(
        messages: &Bound<'py, PyAny>,
        generations: Vec<Vec<Row<'py>>>,
    ) -> PyResult<Vec<Vec<Bound<'py, PyBytes>>>> {
        let (py, mut messages) = (messages.py(), fingerprints(messages)?);
        messages.sort_unstable();
        let mut found = Vec::with_capacity(generations.len());
        for rows in generations {
            let mut filters = vec![None; SLICES];
            for (key, bits) in rows {
                let number: usize = key.get_item(key.len()? - 1)?.extract()?;
                filters[number] = Some((bits.len()? - 1, bits));
            }
            let mut passed = Vec::new();
            for message in &messages {
                if let Some((mask, bits)) = &filters[usize::from(message[0])] {
                    let (byte, bit) = place(message);
                    if bits.get_item(byte & mask)?.extract::<u8>()? & bit != 0 {
                        passed.push(PyBytes::new(py, message));
                    }
                }
            }
            found.push(passed);
        }
        Ok(found)
    }

    #[staticmethod]
    fn filled<'py>(bits: &Bound<'py, PyBytes>, messages: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let mut filled = bits.as_bytes().to_vec();
        let mask = filled.len() - 1;
        for message in fingerprints(messages)? {
            let (byte, bit) = place(&message);
            filled[byte & mask] |= bit;
        }
        Ok(PyBytes::new(bits.py(), &filled))
    }
}

/// Where a message has its bit: the low bits of this number say in which byte, as many as the filter's size needs.
fn place(message: &Fingerprint) -> (usize, u8) {
    let [_, bit, bytes @ ..] = message;
    let byte = bytes[..6].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte));
    (byte, 1 << (bit & 7))
}
