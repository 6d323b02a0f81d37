//! Regular expressions: by the very search that Python has (`onefold.language.scalars.patterns`, RE2), since no other
//! engine says the same of every pattern.

use pyo3::prelude::*;

use crate::{Beyond, Here};

/// What searches for one pattern.
#[derive(Debug)]
pub struct Pattern(Py<PyAny>);

impl Pattern {
    /// `Beyond`: it is no pattern.
    pub fn of(pattern: &str) -> Here<Pattern> {
        let search = Python::attach(|py| {
            let module = py.import("onefold.language.scalars.patterns")?;
            module.call_method1("search", (pattern,)).map(Bound::unbind)
        });
        search.map(Pattern).map_err(|_: PyErr| Beyond)
    }

    /// Whether the text has a match of it anywhere.
    pub fn is_in(&self, text: &str) -> bool {
        Python::attach(|py| self.0.bind(py).call1((text,))?.is_truthy()).unwrap_or(false)
    }
}
