//! Ordinary events through the step, from admitting to telling (`onefold.core.pipeline`): an event that has not come
//! before, of somebody whom nobody has known yet, or of one person who is known by one of its identifiers and may have
//! the others.

mod acting;
mod gathered;
mod saying;
mod told;
mod whose;

use std::collections::HashMap;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::Beyond;
use crate::entries::{Entries, Name};
use crate::event::Kind;
use crate::gathering::effects::About;
use crate::handler::Compiled;
use crate::incoming::Incoming;
use crate::profile::Profile;
use crate::taking::acting::{Given, Way, Ways};
use crate::taking::gathered::Gathered;
use crate::taking::whose::{Joining, Whose};
use crate::value::Value;

/// What asks for people's identifiers (`onefold.language.stream.program.IDENTITY`).
const IDENTITY: &str = "identity";

/// What takes the events of one program.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Taking {
    ways: Ways,
    version: i64,
    /// What somebody has who has nothing yet; `None`: who that is, Python says.
    blank: Option<Entries<Value>>,
    /// Definitions ask for people's identifiers, and are to be judged where somebody gets one.
    asks_identifiers: bool,
}

/// An event's name, and its place as `partition << 56 | position`.
type Named<'a> = (&'a str, u64);

#[pymethods]
impl Taking {
    /// `handlers`: of all event names, and `*` for every other, the `on` and `put`, and the definitions that are to be
    /// judged after `put`. What is not native there is left to Python. `dependents`: trigger → numbers of definitions.
    ///
    /// `blank`: traits of somebody who has nothing yet, for people made by
    /// definitions of this version; None: their first events are left to Python, too.
    #[new]
    fn new(
        compiled: Py<Compiled>,
        handlers: HashMap<String, Given<'_>>,
        dependents: HashMap<String, Vec<usize>>,
        version: i64,
        blank: Option<&Bound<'_, PyDict>>,
    ) -> Taking {
        let ways = handlers.into_iter().map(|(name, handler)| (name, Way::of(handler))).collect();
        let blank = blank.and_then(|traits| {
            let mut values = Entries::default();
            for (name, value) in traits {
                values.set(Name::of(name.extract().ok()?), Value::of(&value).ok()?);
            }
            Some(values)
        });
        let asks_identifiers = dependents.contains_key(IDENTITY);
        Taking { ways: Ways::new(ways, compiled, dependents), version, blank, asks_identifiers }
    }

    /// Take events, from this place in the list on, up to one that is not ordinary; its place. None is where the
    /// run gathers in Python's containers.
    fn take(&self, run: &Bound<'_, PyAny>, incoming: &Bound<'_, PyList>, from: usize) -> PyResult<usize> {
        let Some(gathered) = Gathered::of(run)? else { return Ok(from) };
        let taken = self.take_ordinary(&gathered, incoming, from);
        gathered.settle(self.ways.compiled())?;
        let place = taken?;
        let admitted = intern!(run.py(), "admitted");
        run.setattr(admitted, run.getattr(admitted)?.extract::<usize>()? + place - from)?;
        Ok(place)
    }
}

impl Taking {
    fn take_ordinary(&self, run: &Gathered<'_>, incoming: &Bound<'_, PyList>, from: usize) -> PyResult<usize> {
        let mut place = from;
        while place < incoming.len() {
            let Ok(event) = incoming.get_item(place)?.cast_into::<Incoming>() else { break };
            if !self.take_one(run, &event.borrow())? {
                break;
            }
            place += 1;
        }
        Ok(place)
    }

    /// Whether the event was an ordinary one, which is done then; else nothing has changed.
    fn take_one(&self, run: &Gathered<'_>, incoming: &Incoming) -> PyResult<bool> {
        if incoming.account.is_some() || incoming.read.kind == Kind::Alias || run.has(&incoming.fingerprint)? {
            return Ok(false);
        }
        let named = (incoming.name(), run.partition << 56 | incoming.position);
        let taken = match Whose::of(run, incoming.who.get())? {
            Whose::Nobodys(joining) => self.take_first(run, incoming, named, &joining)?,
            Whose::Persons(profile, joining) => self.take_next(run, incoming, named, (&profile, joining.as_ref()))?,
            Whose::Unclear => false,
        };
        if taken {
            run.messages.borrow_mut().0.set(incoming.fingerprint, incoming.received_ms);
        }
        Ok(taken)
    }

    /// Take an event of somebody who has had others, and may get identifiers.
    fn take_next(
        &self,
        run: &Gathered<'_>,
        incoming: &Incoming,
        (name, place): Named<'_>,
        (found, joining): (&Bound<'_, Profile>, Option<&Joining<'_>>),
    ) -> PyResult<bool> {
        let py = run.profiles.py();
        let (position, now_ms) = (incoming.position, incoming.received_ms);
        let Ok(mut profile) = found.try_borrow_mut() else { return Ok(false) };
        if profile.due_ms() <= now_ms || profile.events() == 0 || (joining.is_some() && self.asks_identifiers) {
            return Ok(false);
        }
        if joining.is_some_and(|joining| joining.prepare(py, &mut profile) == Err(Beyond)) {
            return Ok(false);
        }
        let Ok(mut acting) = self.ways.prepare(py, &mut profile, (name, incoming, place)) else { return Ok(false) };
        let owner = &profile.id.into_pyobject(py)?.into_any();
        if !run.armed.borrow_mut().all().contains(&profile.id) && !run.touched.contains(owner)? {
            run.armed.borrow_mut().all().set(profile.id, profile.due_ms());
            run.touched.set_item(owner, found)?;
        }
        if let Some(joining) = joining {
            joining.join(run, (owner, &mut profile), (position, now_ms))?;
            incoming.who.get().set_owner(profile.id);
        }
        let about = About { profile: profile.id, position, now_ms };
        told::admitted(&mut run.effects.borrow_mut(), about, (0, name));
        let seen = profile.see(incoming.at_ms, now_ms, place);
        if acting.go(&mut profile, (incoming, seen)) {
            told::tell(run, (self.ways.compiled(), &acting), about, 1);
        }
        Ok(true)
    }

    /// Take the first event of somebody.
    fn take_first(
        &self,
        run: &Gathered<'_>,
        incoming: &Incoming,
        (name, place): Named<'_>,
        joining: &Joining<'_>,
    ) -> PyResult<bool> {
        let py = run.profiles.py();
        let Some(blank) = &self.blank else { return Ok(false) };
        let (position, now_ms) = (incoming.position, incoming.received_ms);
        let about = About { profile: place + 1, position, now_ms };
        let mut profile = Profile::newcomer(about.profile, self.version, blank.clone(), (incoming.at_ms, now_ms));
        if joining.prepare(py, &mut profile) == Err(Beyond) {
            return Ok(false);
        }
        let Ok(mut acting) = self.ways.prepare(py, &mut profile, (name, incoming, place)) else { return Ok(false) };
        let id = about.profile.into_pyobject(py)?.into_any();
        run.armed.borrow_mut().all().set(about.profile, profile.due_ms());
        joining.join(run, (&id, &mut profile), (position, now_ms))?;
        incoming.who.get().set_owner(about.profile);
        let seen = profile.see(incoming.at_ms, now_ms, place);
        let to_tell = acting.go(&mut profile, (incoming, seen));
        let profile = Bound::new(py, profile)?;
        run.profiles.borrow_mut().insert(about.profile, profile.clone().into_any().unbind());
        run.touched.set_item(&id, &profile)?;
        told::created(&mut run.effects.borrow_mut(), about);
        told::admitted(&mut run.effects.borrow_mut(), about, (1, name));
        if to_tell {
            told::tell(run, (self.ways.compiled(), &acting), about, 2);
        }
        Ok(true)
    }
}
