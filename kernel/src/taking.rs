//! Ordinary events through the step, from admitting to telling (`onefold.core.pipeline`): an event of somebody who is
//! known by all of its identifiers, that declares nothing and has not come before.

use std::collections::HashMap;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::event::Kind;
use crate::handler::{Handler, Working};
use crate::incoming::Incoming;
use crate::profile::Profile;
use crate::{Beyond, Here};

/// What takes the events of one program.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Taking {
    /// Event name → its handler, where that is native; `None`: Python has one.
    handlers: HashMap<String, Option<Py<Handler>>>,
    told: Told,
}

/// How Python's effects are made.
#[derive(FromPyObject)]
struct Told {
    #[pyo3(attribute("Admitted"))]
    admitted: Py<PyAny>,
    #[pyo3(attribute("Changed"))]
    changed: Py<PyAny>,
    #[pyo3(attribute("Entered"))]
    entered: Py<PyAny>,
    #[pyo3(attribute("Left"))]
    left: Py<PyAny>,
}

/// What a run has gathered so far (`onefold.core.run.Run`), as far as ordinary events add to it.
struct Gathered<'py> {
    partition: u64,
    profiles: Bound<'py, PyDict>,
    seen: Bound<'py, PyDict>,
    messages: Bound<'py, PyDict>,
    touched: Bound<'py, PyDict>,
    armed: Bound<'py, PyDict>,
    effects: Bound<'py, PyList>,
    members: Bound<'py, PyAny>,
}

impl<'py> Gathered<'py> {
    fn of(run: &Bound<'py, PyAny>) -> PyResult<Gathered<'py>> {
        let py = run.py();
        Ok(Gathered {
            partition: run.getattr(intern!(py, "partition"))?.extract()?,
            profiles: run.getattr(intern!(py, "profiles"))?.cast_into()?,
            seen: run.getattr(intern!(py, "seen"))?.cast_into()?,
            messages: run.getattr(intern!(py, "messages"))?.cast_into()?,
            touched: run.getattr(intern!(py, "touched"))?.cast_into()?,
            armed: run.getattr(intern!(py, "armed"))?.cast_into()?,
            effects: run.getattr(intern!(py, "effects"))?.cast_into()?,
            members: run.getattr(intern!(py, "members"))?,
        })
    }
}

#[pymethods]
impl Taking {
    /// `handlers`: of all event names, and `*` for every other; those that are not native are left to Python.
    /// `effects`: where the classes of effects are.
    #[new]
    fn new(handlers: HashMap<String, Bound<'_, PyAny>>, effects: Told) -> Taking {
        let native = |handler: Bound<'_, PyAny>| handler.cast_into::<Handler>().ok().map(Bound::unbind);
        let handlers = handlers.into_iter().map(|(name, handler)| (name, native(handler))).collect();
        Taking { handlers, told: effects }
    }

    /// Take events, from this place in the list on, up to one that is not ordinary; its place.
    fn take(&self, run: &Bound<'_, PyAny>, incoming: &Bound<'_, PyList>, from: usize) -> PyResult<usize> {
        let gathered = Gathered::of(run)?;
        let mut place = from;
        while place < incoming.len() {
            let Ok(event) = incoming.get_item(place)?.cast_into::<Incoming>() else { break };
            if !self.take_one(&gathered, &event.borrow())? {
                break;
            }
            place += 1;
        }
        let admitted = intern!(run.py(), "admitted");
        run.setattr(admitted, run.getattr(admitted)?.extract::<usize>()? + place - from)?;
        Ok(place)
    }
}

impl Taking {
    /// Whether the event was an ordinary one, which is done then; else nothing has changed.
    fn take_one(&self, run: &Gathered<'_>, incoming: &Incoming) -> PyResult<bool> {
        let py = run.profiles.py();
        if incoming.account.is_some() || !matches!(incoming.read.kind, Kind::Track | Kind::Page | Kind::Screen) {
            return Ok(false);
        }
        let name = incoming.name(py);
        let Some(Some(handler)) = self.handlers.get(name).or_else(|| self.handlers.get("*")) else { return Ok(false) };
        let owner = incoming.who.bind(py).getattr(intern!(py, "owner"))?;
        let Some(found) = run.profiles.get_item(&owner)? else { return Ok(false) };
        let Ok(found) = found.cast_into::<Profile>() else { return Ok(false) };
        let fingerprint = PyBytes::new(py, &incoming.fingerprint);
        if run.messages.contains(&fingerprint)? || run.seen.contains(&fingerprint)? {
            return Ok(false);
        }
        let handler = handler.get();
        let (Some(mut working), Ok(mut profile)) = (handler.working(), found.try_borrow_mut()) else {
            return Ok(false);
        };
        if profile.due_ms() <= incoming.received_ms || profile.events() == 0 {
            return Ok(false);
        }
        let ready = handler.prepare(py, &mut profile, incoming, &mut working).and_then(|()| profile.prepare(py));
        if ready == Err(Beyond) {
            return Ok(false);
        }
        run.messages.set_item(fingerprint, incoming.received_ms)?;
        if !run.touched.contains(&owner)? {
            run.armed.set_item(&owner, profile.due_ms())?;
            run.touched.set_item(&owner, &found)?;
        }
        let seen = profile.see(incoming.at_ms, incoming.received_ms, run.partition << 56 | incoming.position);
        let (position, now_ms) = (incoming.position, incoming.received_ms);
        run.effects.append(self.told.admitted.bind(py).call1((&owner, position, 0, now_ms, name))?)?;
        let to_tell: Here<bool> = handler.go(py, &mut profile, (incoming, seen), &mut working);
        if to_tell.expect("what an event needs was made sure of") {
            self.tell(run, (handler, &working), (&owner, position, now_ms))?;
        }
        Ok(true)
    }

    /// Effects and memberships of what has changed (`Run.tell`).
    fn tell(
        &self,
        run: &Gathered<'_>,
        (handler, working): (&Handler, &Working),
        (owner, position, now_ms): (&Bound<'_, PyAny>, u64, i64),
    ) -> PyResult<()> {
        let py = owner.py();
        let mut n = 1;
        if let Some(changed) = handler.changed(py, working)? {
            run.effects.append(self.told.changed.bind(py).call1((owner, position, n, now_ms, changed))?)?;
            n += 1;
        }
        for (audience, entered) in handler.moves(py, working) {
            run.members.get_item(&audience)?.set_item(owner, if entered { now_ms } else { 0 })?;
            let effect = if entered {
                self.told.entered.bind(py).call1((owner, position, n, now_ms, &audience))?
            } else {
                let reason = intern!(py, "event");
                self.told.left.bind(py).call1((
                    owner,
                    position,
                    n,
                    now_ms,
                    &audience,
                    reason as &Bound<'_, PyString>,
                ))?
            };
            run.effects.append(effect)?;
            n += 1;
        }
        Ok(())
    }
}
