//! What has happened, as Python's effects (`onefold.model.effect`).

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::handler::{Handler, Working};
use crate::taking::gathered::Gathered;

/// How Python's effects are made.
#[derive(FromPyObject)]
pub struct Told {
    #[pyo3(attribute("Created"))]
    created: Py<PyAny>,
    #[pyo3(attribute("Admitted"))]
    admitted: Py<PyAny>,
    #[pyo3(attribute("Changed"))]
    changed: Py<PyAny>,
    #[pyo3(attribute("Entered"))]
    entered: Py<PyAny>,
    #[pyo3(attribute("Left"))]
    left: Py<PyAny>,
}

/// Whose profile it is that something has happened to, at which position of the log, and when.
pub type About<'a, 'py> = (&'a Bound<'py, PyAny>, u64, i64);

impl Told {
    /// The profile is there from now on; this is the first that an event does.
    pub fn created(&self, run: &Gathered<'_>, (owner, position, now_ms): About<'_, '_>) -> PyResult<()> {
        run.effects.append(self.created.bind(owner.py()).call1((owner, position, 0, now_ms))?)
    }

    /// An event of this name is the profile's.
    pub fn admitted(
        &self,
        run: &Gathered<'_>,
        (owner, position, now_ms): About<'_, '_>,
        (n, name): (u32, &str),
    ) -> PyResult<()> {
        run.effects.append(self.admitted.bind(owner.py()).call1((owner, position, n, now_ms, name))?)
    }

    /// Effects and memberships of what has changed (`Run.tell`).
    pub fn tell(
        &self,
        run: &Gathered<'_>,
        (handler, working): (&Handler, &Working),
        (owner, position, now_ms): About<'_, '_>,
        first: u32,
    ) -> PyResult<()> {
        let py = owner.py();
        let mut n = first;
        if let Some(changed) = handler.changed(py, working)? {
            run.effects.append(self.changed.bind(py).call1((owner, position, n, now_ms, changed))?)?;
            n += 1;
        }
        for (audience, entered) in handler.moves(py, working) {
            run.members.get_item(&audience)?.set_item(owner, if entered { now_ms } else { 0 })?;
            let effect = if entered {
                self.entered.bind(py).call1((owner, position, n, now_ms, &audience))?
            } else {
                let reason = intern!(py, "event");
                self.left.bind(py).call1((owner, position, n, now_ms, &audience, reason as &Bound<'_, PyString>))?
            };
            run.effects.append(effect)?;
            n += 1;
        }
        Ok(())
    }
}
