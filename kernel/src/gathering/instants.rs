//! An instant for each of some profiles: when it was armed for, or since when it is a member.

use std::hash::BuildHasherDefault;

use pyo3::exceptions::PyKeyError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList};

use crate::gathering::ordered::Ordered;
use crate::keeping::NEVER_MS;
use crate::numbered::Mixed;
use crate::profile::Profile;

/// `onefold.core.gathered.Instants`.
#[pyclass(module = "onefold_kernel")]
#[derive(Default)]
pub struct Instants(pub Ordered<u64, BuildHasherDefault<Mixed>>);

#[pymethods]
impl Instants {
    #[new]
    fn new() -> Instants {
        Instants::default()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __contains__(&self, profile: u64) -> bool {
        self.0.contains(&profile)
    }

    fn __getitem__(&self, profile: u64) -> PyResult<i64> {
        self.0.get(&profile).ok_or_else(|| PyKeyError::new_err(profile))
    }

    fn __setitem__(&mut self, profile: u64, at_ms: i64) {
        self.0.set(profile, at_ms);
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        PyList::new(py, self.keys())?.try_iter()
    }

    fn keys(&self) -> Vec<u64> {
        self.0.iter().map(|(profile, _)| profile).collect()
    }

    fn items(&self) -> Vec<(u64, i64)> {
        self.0.iter().collect()
    }

    fn get(&self, profile: u64) -> Option<i64> {
        self.0.get(&profile)
    }

    fn pop(&mut self, profile: u64) -> PyResult<i64> {
        self.0.remove(&profile).ok_or_else(|| PyKeyError::new_err(profile))
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn let_go(&mut self, people: &Bound<'_, PyAny>) -> PyResult<()> {
        for profile in self.keys() {
            if people.contains(profile)? {
                self.0.remove(&profile);
            }
        }
        Ok(())
    }

    fn to_arm<'py>(&self, touched: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        let py = touched.py();
        let due = PyDict::new(py);
        for (profile, armed) in self.0.iter() {
            let key = profile.into_pyobject(py)?;
            let to_arm = match touched.get_item(&key)? {
                None => NEVER_MS,
                Some(found) => match found.cast_exact::<Profile>() {
                    Ok(native) => native.borrow().due_ms(),
                    Err(_) => found.getattr(intern!(py, "due_ms"))?.extract()?,
                },
            };
            if armed != to_arm {
                due.set_item(key, (armed, to_arm))?;
            }
        }
        Ok(due)
    }
}
