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

type ByProfile = Ordered<u64, BuildHasherDefault<Mixed>>;

/// `onefold.core.gathered.Instants`.
#[pyclass(module = "onefold_kernel")]
#[derive(Default)]
pub struct Instants {
    placed: ByProfile,
    /// What was noted since: nobody has looked for any of it. Of one profile the last counts.
    noted: Vec<(u64, i64)>,
}

impl Instants {
    /// Set what most likely nobody looks for before all of it is written.
    pub fn note(&mut self, profile: u64, at_ms: i64) {
        self.noted.push((profile, at_ms));
    }

    /// All of them.
    pub fn all(&mut self) -> &mut ByProfile {
        for (profile, at_ms) in self.noted.drain(..) {
            self.placed.set(profile, at_ms);
        }
        &mut self.placed
    }

    /// All of them, by profile.
    pub fn sorted(&mut self) -> Vec<(u64, i64)> {
        let mut all: Vec<(u64, i64)> = self.placed.iter().chain(self.noted.iter().copied()).collect();
        all.sort_by_key(|(profile, _)| *profile);
        all.dedup_by(|later, earlier| {
            let is_again = later.0 == earlier.0;
            if is_again {
                earlier.1 = later.1;
            }
            is_again
        });
        all
    }
}

#[pymethods]
impl Instants {
    #[new]
    fn new() -> Instants {
        Instants::default()
    }

    fn __len__(&mut self) -> usize {
        self.all().len()
    }

    fn __contains__(&mut self, profile: u64) -> bool {
        self.all().contains(&profile)
    }

    fn __getitem__(&mut self, profile: u64) -> PyResult<i64> {
        self.all().get(&profile).ok_or_else(|| PyKeyError::new_err(profile))
    }

    fn __setitem__(&mut self, profile: u64, at_ms: i64) {
        self.all().set(profile, at_ms);
    }

    fn __iter__<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        PyList::new(py, self.keys())?.try_iter()
    }

    fn keys(&mut self) -> Vec<u64> {
        self.all().iter().map(|(profile, _)| profile).collect()
    }

    fn items(&mut self) -> Vec<(u64, i64)> {
        self.all().iter().collect()
    }

    fn get(&mut self, profile: u64) -> Option<i64> {
        self.all().get(&profile)
    }

    fn pop(&mut self, profile: u64) -> PyResult<i64> {
        self.all().remove(&profile).ok_or_else(|| PyKeyError::new_err(profile))
    }

    fn clear(&mut self) {
        self.all().clear();
    }

    fn let_go(&mut self, people: &Bound<'_, PyAny>) -> PyResult<()> {
        for profile in self.keys() {
            if people.contains(profile)? {
                self.all().remove(&profile);
            }
        }
        Ok(())
    }

    #[pyo3(name = "to_arm")]
    fn arming<'py>(&mut self, touched: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        let py = touched.py();
        let due = PyDict::new(py);
        for (profile, armed) in self.all().iter() {
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
