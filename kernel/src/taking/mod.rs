//! Ordinary events through the step, from admitting to telling (`onefold.core.pipeline`): an event of somebody who is
//! known by all of its identifiers or by none, that declares nothing and has not come before.

mod gathered;
mod newcomers;
mod told;

use std::collections::HashMap;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::Beyond;
use crate::entries::{Entries, Name};
use crate::event::Kind;
use crate::gathering::effects::About;
use crate::handler::Handler;
use crate::incoming::Incoming;
use crate::profile::Profile;
use crate::taking::gathered::Gathered;
use crate::taking::newcomers::{is_nobodys, links};
use crate::value::Value;

/// What takes the events of one program.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Taking {
    /// Event name → its handler, where that is native; `None`: Python has one.
    handlers: HashMap<String, Option<Py<Handler>>>,
    version: i64,
    /// What somebody has who has nothing yet; `None`: who that is, Python says.
    blank: Option<Entries<Value>>,
}

#[pymethods]
impl Taking {
    /// `handlers`: of all event names, and `*` for every other; those that are not native are left to Python.
    /// `blank`: traits of somebody who has nothing yet, for people made by
    /// definitions of this version; None: their first events are left to Python, too.
    #[new]
    fn new(handlers: HashMap<String, Bound<'_, PyAny>>, version: i64, blank: Option<&Bound<'_, PyDict>>) -> Taking {
        let native = |handler: Bound<'_, PyAny>| handler.cast_into::<Handler>().ok().map(Bound::unbind);
        let handlers = handlers.into_iter().map(|(name, handler)| (name, native(handler))).collect();
        let blank = blank.and_then(|traits| {
            let mut values = Entries::default();
            for (name, value) in traits {
                values.set(Name::of(name.extract().ok()?), Value::of(&value).ok()?);
            }
            Some(values)
        });
        Taking { handlers, version, blank }
    }

    /// Take events, from this place in the list on, up to one that is not ordinary; its place. None is where the
    /// run gathers in Python's containers.
    fn take(&self, run: &Bound<'_, PyAny>, incoming: &Bound<'_, PyList>, from: usize) -> PyResult<usize> {
        let Some(gathered) = Gathered::of(run)? else { return Ok(from) };
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
        let owner = incoming.who.get().owner();
        let Some(found) = run.profiles.borrow().find(py, owner) else {
            return self.take_first(run, incoming, (name, handler.get()));
        };
        let Ok(found) = found.cast_into::<Profile>() else { return Ok(false) };
        if has_come(run, incoming)? {
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
        run.messages.borrow_mut().0.set(incoming.fingerprint, incoming.received_ms);
        if !run.armed.borrow().0.contains(&owner) {
            let id = owner.into_pyobject(py)?;
            if !run.touched.contains(&id)? {
                run.armed.borrow_mut().0.set(owner, profile.due_ms());
                run.touched.set_item(id, &found)?;
            }
        }
        let seen = profile.see(incoming.at_ms, incoming.received_ms, run.partition << 56 | incoming.position);
        let about = About { profile: profile.id, position: incoming.position, now_ms: incoming.received_ms };
        told::admitted(&mut run.effects.borrow_mut(), about, (0, name));
        if handler.go(&mut profile, (incoming, seen), &mut working) {
            told::tell(run, (handler, &working), about, 1)?;
        }
        Ok(true)
    }

    /// The same of the first event of somebody: nobody has any of its identifiers.
    fn take_first(&self, run: &Gathered<'_>, incoming: &Incoming, (name, handler): (&str, &Handler)) -> PyResult<bool> {
        let py = run.profiles.py();
        let (Some(blank), Some(mut working)) = (&self.blank, handler.working()) else { return Ok(false) };
        let identifiers = incoming.who.get().identifiers();
        if has_come(run, incoming)? || !run.is_whole || !is_nobodys(run, identifiers)? {
            return Ok(false);
        }
        let (position, at_ms, now_ms) = (incoming.position, incoming.at_ms, incoming.received_ms);
        let id = run.partition << 56 | (position + 1);
        let mut profile = Profile::newcomer(id, self.version, blank.clone(), (at_ms, now_ms));
        let names = identifiers.iter().map(|each| (each.clone(), now_ms)).collect::<Vec<_>>();
        let links = links(&names, (run.partition, position, now_ms));
        profile.begin_with(names, &links);
        let ready = handler.prepare(py, &mut profile, incoming, &mut working).and_then(|()| profile.prepare(py));
        if ready == Err(Beyond) {
            return Ok(false);
        }
        let armed_ms = profile.due_ms();
        let seen = profile.see(at_ms, now_ms, run.partition << 56 | position);
        let to_tell = handler.go(&mut profile, (incoming, seen), &mut working);
        incoming.who.get().set_owner(id);
        let about = About { profile: id, position, now_ms };
        let profile = Bound::new(py, profile)?;
        run.profiles.borrow_mut().insert(id, profile.clone().into_any().unbind());
        let id = id.into_pyobject(py)?.into_any();
        run.messages.borrow_mut().0.set(incoming.fingerprint, now_ms);
        run.touched.set_item(&id, &profile)?;
        run.armed.borrow_mut().0.set(about.profile, armed_ms);
        for identifier in identifiers {
            let identifier = PyString::new(py, identifier);
            run.owners.set_item(&identifier, &id)?;
            run.moved.set_item(&identifier, &id)?;
        }
        told::created(&mut run.effects.borrow_mut(), about);
        told::admitted(&mut run.effects.borrow_mut(), about, (1, name));
        if to_tell {
            told::tell(run, (handler, &working), about, 2)?;
        }
        Ok(true)
    }
}

/// Whether this commit or one before it has admitted the event.
fn has_come(run: &Gathered<'_>, incoming: &Incoming) -> PyResult<bool> {
    if run.messages.borrow().0.contains(&incoming.fingerprint) {
        return Ok(true);
    }
    Ok(!run.seen.is_empty() && run.seen.contains(PyBytes::new(run.seen.py(), &incoming.fingerprint))?)
}
