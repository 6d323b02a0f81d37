//! Whose events are, by their identifiers alone (`onefold.core.identity.identifiers`): found in what says just two ids, and
//! remembered.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::numbered::{Numbered, Secret};
use crate::profile::Profile;
use crate::{Beyond, Here};

const REMEMBERED: usize = 100_000;
const ID_MAX_BYTES: usize = 512;

/// As Python's `Who`.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Who {
    identifiers: Box<[Box<str>]>,
    owner: AtomicU64,
    /// The round of looking in which it was met last.
    met: AtomicU64,
}

impl Who {
    fn new(identifiers: Box<[Box<str>]>) -> Who {
        Who { identifiers, owner: AtomicU64::new(0), met: AtomicU64::new(0) }
    }

    /// The same as one of Python's.
    pub fn of(who: &Bound<'_, PyAny>) -> PyResult<Who> {
        let identifiers = who.getattr(intern!(who.py(), "identifiers"))?.extract::<Vec<String>>()?;
        Ok(Who::new(identifiers.into_iter().map(String::into).collect()))
    }

    pub fn identifiers(&self) -> &[Box<str>] {
        &self.identifiers
    }

    pub fn owner(&self) -> u64 {
        self.owner.load(Ordering::Relaxed)
    }

    pub fn set_owner(&self, owner: u64) {
        self.owner.store(owner, Ordering::Relaxed);
    }

    /// Whether it is met for the first time in this round.
    pub fn is_new_in(&self, round: u64) -> bool {
        self.met.swap(round, Ordering::Relaxed) != round
    }

    /// Whether all of its identifiers are this profile's.
    pub fn is_of(&self, py: Python<'_>, profile: &mut Profile) -> PyResult<bool> {
        profile.has_all_of(py, self.identifiers.iter().map(|each| &**each))
    }
}

#[pymethods]
impl Who {
    #[getter(identifiers)]
    fn as_tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.identifiers.iter().map(|each| &**each))
    }

    #[getter(owner)]
    fn get_owner(&self) -> u64 {
        self.owner()
    }

    #[setter(owner)]
    fn put_owner(&self, owner: u64) {
        self.set_owner(owner);
    }

    /// Say whose this may be; whether all identifiers are that profile's.
    pub fn settle(&self, profile: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = profile.py();
        let (id, is_its) = if let Ok(native) = profile.cast::<Profile>() {
            let mut native = native.borrow_mut();
            (native.id, self.is_of(py, &mut native)?)
        } else {
            let id = profile.getattr(intern!(py, "id"))?.extract()?;
            (id, profile.call_method1(intern!(py, "has_all"), (self.as_tuple(py)?,))?.extract()?)
        };
        self.set_owner(if is_its { id } else { 0 });
        Ok(is_its)
    }
}

/// People by their two ids, where events say no more of them: `onefold.core.identity.identifiers.Finder`, remembered.
#[pyclass(module = "onefold_kernel")]
pub struct Whos {
    /// Hash of the two ids → these, and whose they are.
    remembered: Numbered<(Box<str>, Py<Who>)>,
    asked: String,
    secret: Secret,
    /// Values that identify nobody; `None`: how identifiers are spelled, Python says.
    blocked: Option<HashSet<String>>,
    max_bytes: usize,
}

#[pymethods]
impl Whos {
    /// `blocked`: values in lower case that identify nobody; None: how identifiers are spelled, only Python knows.
    /// `max_bytes`: what is longer identifies nobody either.
    #[new]
    fn new(blocked: Option<HashSet<String>>, max_bytes: usize) -> Whos {
        let (remembered, secret) = (Numbered::default(), Secret::default());
        Whos { remembered, asked: String::new(), secret, blocked, max_bytes }
    }
}

impl Whos {
    /// Whose an event with these two ids is, as JSON; `find` says it where that is not known here.
    pub fn get(
        &mut self,
        py: Python<'_>,
        (user, anonymous): (&str, &str),
        find: impl FnOnce() -> PyResult<Who>,
    ) -> PyResult<Py<Who>> {
        self.asked.clear();
        self.asked.push_str(user);
        self.asked.push(' ');
        self.asked.push_str(anonymous);
        let hash = self.secret.hash_one(self.asked.as_str());
        match self.remembered.get(&hash) {
            Some((ids, who)) if **ids == *self.asked => return Ok(who.clone_ref(py)),
            _ => {}
        }
        let who = Py::new(py, self.find(user, anonymous).map_or_else(|Beyond| find(), Ok)?)?;
        if user.len().max(anonymous.len()) <= ID_MAX_BYTES {
            if self.remembered.len() >= REMEMBERED {
                self.remembered.clear();
            }
            self.remembered.insert(hash, (self.asked.as_str().into(), who.clone_ref(py)));
        }
        Ok(who)
    }

    fn find(&self, user: &str, anonymous: &str) -> Here<Who> {
        let ids = [self.identifier("user_id:", user)?, self.identifier("anonymous_id:", anonymous)?];
        Ok(Who::new(ids.into_iter().flatten().collect()))
    }

    /// An id of this namespace in its one spelling (`normalise`); nothing where it identifies nobody.
    fn identifier(&self, namespace: &str, json: &str) -> Here<Option<Box<str>>> {
        let blocked = self.blocked.as_ref().ok_or(Beyond)?;
        if json.is_empty() {
            return Ok(None);
        }
        let value = plain(json)?.trim_matches(' ');
        let is_anybody = !value.is_empty() && !blocked.contains(&value.to_ascii_lowercase());
        let fits = namespace.len() + value.len() <= self.max_bytes;
        Ok((is_anybody && fits).then(|| [namespace, value].concat().into()))
    }
}

/// The text of an id. `Beyond`: it has letters of which only Python knows which are small, and which are space.
fn plain(json: &str) -> Here<&str> {
    let text = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match text {
        Some(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Ok(text),
        None if is_number(json) => Ok(json),
        _ => Err(Beyond),
    }
}

/// Whether this is an integer as Python writes it.
fn is_number(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    digits.bytes().all(|byte| byte.is_ascii_digit()) && (json == "0" || matches!(digits.bytes().next(), Some(b'1'..)))
}
