//! Profiles by their ids: those that a worker remembers (`onefold.runtime.folding.recent`), and those of a batch.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::incoming::Incoming;
use crate::numbered::Numbered;
use crate::profile::Profile;
use crate::who::Who;

/// What was used lately, in two generations, of which the older is forgotten whole: `onefold.runtime.folding.recent.Recent`.
#[pyclass(module = "onefold_kernel")]
pub struct Memory {
    size: usize,
    young: Numbered<Py<PyAny>>,
    old: Numbered<Py<PyAny>>,
}

#[pymethods]
impl Memory {
    #[new]
    fn new(size: usize) -> Memory {
        Memory { size, young: Numbered::default(), old: Numbered::default() }
    }

    fn __contains__(&self, id: u64) -> bool {
        self.young.contains_key(&id) || self.old.contains_key(&id)
    }

    fn __len__(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn get(&mut self, py: Python<'_>, id: u64) -> Option<Py<PyAny>> {
        if let Some(profile) = self.young.get(&id) {
            return Some(profile.clone_ref(py));
        }
        let profile = self.old.remove(&id)?;
        self.put(id, profile.clone_ref(py));
        Some(profile)
    }

    fn put(&mut self, id: u64, profile: Py<PyAny>) {
        self.young.insert(id, profile);
        if self.young.len() > self.size {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// Remember what a commit has `made`, of which `encoded` has the bytes. Python's own are the kernel's from then on,
    /// in `made`, too, where it knows all that is in them.
    fn keep(&mut self, made: &Bound<'_, PyDict>, encoded: &Bound<'_, PyDict>) -> PyResult<()> {
        for (id, mut profile) in made {
            if profile.cast::<Profile>().is_err()
                && let Some(bytes) = encoded.get_item(&id)?
                && let Ok(native) = Profile::read(bytes.cast::<PyBytes>()?.as_bytes())
            {
                profile = Bound::new(made.py(), native)?.into_any();
                made.set_item(&id, &profile)?;
            }
            self.put(id.extract()?, profile.unbind());
        }
        Ok(())
    }

    fn forget(&mut self, id: u64) -> Option<Py<PyAny>> {
        let old = self.old.remove(&id);
        self.young.remove(&id).or(old)
    }

    fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// The profiles of whom these events are, where one has all of somebody's identifiers; and the identifiers of all
    /// others. None: some of it is not the kernel's, or names an account; `elsewhere(id)` has what is not in memory.
    fn settle<'py>(
        &mut self,
        incoming: &Bound<'py, PyList>,
        elsewhere: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(People, Bound<'py, PyList>)>> {
        let py = incoming.py();
        let Some(whos) = whos(incoming) else { return Ok(None) };
        let (mut people, names) = (People::default(), PyList::empty(py));
        for who in &whos {
            let who = who.get();
            if !self.settle_one(who, elsewhere, &mut people)? {
                who.set_owner(0);
                for name in who.identifiers() {
                    names.append(PyString::new(py, name))?;
                }
            }
        }
        Ok(Some((people, names)))
    }
}

impl Memory {
    /// Whether that profile was found which has all of somebody's identifiers; it is among these people then.
    fn settle_one(&mut self, who: &Who, elsewhere: &Bound<'_, PyAny>, people: &mut People) -> PyResult<bool> {
        let (py, owner) = (elsewhere.py(), who.owner());
        if owner == 0 {
            return Ok(false);
        }
        let profile = match self.get(py, owner) {
            Some(profile) => profile.into_bound(py),
            None => elsewhere.call1((owner,))?,
        };
        if profile.is_none() {
            return Ok(false);
        }
        let is_its = match profile.cast::<Profile>() {
            Ok(native) => who.is_of(py, &mut native.borrow_mut())?,
            Err(_) => who.settle(&profile)?,
        };
        if is_its {
            people.0.insert(owner, profile.unbind());
        }
        Ok(is_its)
    }
}

/// Whose these events are, each once. Nothing, where some are not the kernel's, or name an account.
fn whos(incoming: &Bound<'_, PyList>) -> Option<Vec<Py<Who>>> {
    static ROUND: AtomicU64 = AtomicU64::new(0);
    let round = ROUND.fetch_add(1, Ordering::Relaxed) + 1;
    let mut found = Vec::with_capacity(incoming.len());
    for each in incoming {
        let event = each.cast::<Incoming>().ok()?.borrow();
        if event.account.is_some() {
            return None;
        }
        if event.who.get().is_new_in(round) {
            found.push(event.who.clone_ref(incoming.py()));
        }
    }
    Some(found)
}

/// The profiles that a batch touches, by their ids; for Python as good as a dict.
#[pyclass(module = "onefold_kernel", mapping)]
#[derive(Default)]
pub struct People(Numbered<Py<PyAny>>);

impl People {
    /// The profile of this id, if it is there, and whose it is.
    pub fn find<'py>(&self, py: Python<'py>, id: u64) -> Option<Bound<'py, PyAny>> {
        self.0.get(&id).map(|profile| profile.bind(py).clone())
    }

    pub fn insert(&mut self, id: u64, profile: Py<PyAny>) {
        self.0.insert(id, profile);
    }
}

#[pymethods]
impl People {
    #[new]
    fn new() -> People {
        People::default()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __contains__(&self, id: u64) -> bool {
        self.0.contains_key(&id)
    }

    fn __getitem__(&self, py: Python<'_>, id: u64) -> PyResult<Py<PyAny>> {
        self.get(py, id).ok_or_else(|| PyKeyError::new_err(id))
    }

    fn __setitem__(&mut self, id: u64, profile: Py<PyAny>) {
        self.0.insert(id, profile);
    }

    fn __delitem__(&mut self, id: u64) -> PyResult<()> {
        self.0.remove(&id).map(drop).ok_or_else(|| PyKeyError::new_err(id))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        PyList::new(py, self.keys())?.into_any().call_method0("__iter__")
    }

    fn get(&self, py: Python<'_>, id: u64) -> Option<Py<PyAny>> {
        self.0.get(&id).map(|profile| profile.clone_ref(py))
    }

    fn keys(&self) -> Vec<u64> {
        self.0.keys().copied().collect()
    }

    fn values(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        self.0.values().map(|profile| profile.clone_ref(py)).collect()
    }

    fn items(&self, py: Python<'_>) -> Vec<(u64, Py<PyAny>)> {
        self.0.iter().map(|(id, profile)| (*id, profile.clone_ref(py))).collect()
    }

    fn update(&mut self, others: &Bound<'_, PyDict>) -> PyResult<()> {
        for (id, profile) in others {
            self.0.insert(id.extract()?, profile.unbind());
        }
        Ok(())
    }
}
