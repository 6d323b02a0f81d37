//! Ordinary events through the step, from admitting to telling (`onefold.core.pipeline`): an event of somebody who is
//! known by all of its identifiers or by none, that declares nothing and has not come before.

use std::collections::HashMap;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::Beyond;
use crate::entries::{Entries, Name};
use crate::event::Kind;
use crate::handler::{Handler, Working};
use crate::incoming::Incoming;
use crate::msgpack::{write_int, write_list, write_text, write_unsigned};
use crate::profile::Profile;
use crate::value::Value;

/// What takes the events of one program.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Taking {
    /// Event name → its handler, where that is native; `None`: Python has one.
    handlers: HashMap<String, Option<Py<Handler>>>,
    told: Told,
    version: i64,
    /// What somebody has who has nothing yet; `None`: who that is, Python says.
    blank: Option<Entries<Value>>,
}

/// The namespace of which a person has one identifier (`onefold.core.identity.rules.UNIQUE_NAMESPACE`).
const UNIQUE: &str = "user_id:";
/// Why the identifiers of an event are one person's (`onefold.core.identity.rules.SHARED_EVENT`).
const SHARED_EVENT: &str = "shared_event";

/// How Python's effects are made.
#[derive(FromPyObject)]
struct Told {
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

/// What a run has gathered so far (`onefold.core.run.Run`), as far as ordinary events add to it.
struct Gathered<'py> {
    partition: u64,
    profiles: Bound<'py, PyDict>,
    owners: Bound<'py, PyDict>,
    moved: Bound<'py, PyDict>,
    /// Nothing was undone that people who come anew have no notes of.
    is_whole: bool,
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
            owners: run.getattr(intern!(py, "owners"))?.cast_into()?,
            moved: run.getattr(intern!(py, "moved"))?.cast_into()?,
            is_whole: run.getattr(intern!(py, "parted"))?.is_none(),
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
    /// `effects`: where the classes of effects are. `blank`: traits of somebody who has nothing yet, for people made by
    /// definitions of this version; None: their first events are left to Python, too.
    #[new]
    fn new(
        handlers: HashMap<String, Bound<'_, PyAny>>,
        effects: Told,
        version: i64,
        blank: Option<&Bound<'_, PyDict>>,
    ) -> Taking {
        let native = |handler: Bound<'_, PyAny>| handler.cast_into::<Handler>().ok().map(Bound::unbind);
        let handlers = handlers.into_iter().map(|(name, handler)| (name, native(handler))).collect();
        let blank = blank.and_then(|traits| {
            let mut values = Entries::with_capacity(traits.len());
            for (name, value) in traits {
                values.set(Name::of(name.extract().ok()?), Value::of(&value).ok()?);
            }
            Some(values)
        });
        Taking { handlers, told: effects, version, blank }
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
        let Some(found) = run.profiles.get_item(&owner)? else {
            return self.take_first(run, incoming, (name, handler.get()));
        };
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
        if handler.go(&mut profile, (incoming, seen), &mut working) {
            self.tell(run, (handler, &working), (&owner, position, now_ms), 1)?;
        }
        Ok(true)
    }

    /// The same of the first event of somebody: nobody has any of its identifiers.
    fn take_first(&self, run: &Gathered<'_>, incoming: &Incoming, (name, handler): (&str, &Handler)) -> PyResult<bool> {
        let py = run.profiles.py();
        let (Some(blank), Some(mut working)) = (&self.blank, handler.working()) else { return Ok(false) };
        let identifiers: Bound<'_, PyTuple> = incoming.who.bind(py).getattr(intern!(py, "identifiers"))?.cast_into()?;
        let fingerprint = PyBytes::new(py, &incoming.fingerprint);
        let is_known = run.messages.contains(&fingerprint)? || run.seen.contains(&fingerprint)?;
        if is_known || !run.is_whole || !is_nobodys(run, &identifiers)? {
            return Ok(false);
        }
        let (position, at_ms, now_ms) = (incoming.position, incoming.at_ms, incoming.received_ms);
        let id = run.partition << 56 | (position + 1);
        let mut profile = Profile::newcomer(id, self.version, blank.clone(), (at_ms, now_ms));
        let names = identifiers.iter().map(|each| Ok((each.extract::<&str>()?.into(), now_ms)));
        let names = names.collect::<PyResult<Vec<(Box<str>, i64)>>>()?;
        let links = links(&names, (run.partition, position, now_ms));
        profile.begin_with(names, &links);
        let ready = handler.prepare(py, &mut profile, incoming, &mut working).and_then(|()| profile.prepare(py));
        if ready == Err(Beyond) {
            return Ok(false);
        }
        let armed_ms = profile.due_ms();
        let seen = profile.see(at_ms, now_ms, run.partition << 56 | position);
        let to_tell = handler.go(&mut profile, (incoming, seen), &mut working);
        let (id, profile) = (id.into_pyobject(py)?.into_any(), Bound::new(py, profile)?);
        run.messages.set_item(fingerprint, now_ms)?;
        run.profiles.set_item(&id, &profile)?;
        run.touched.set_item(&id, &profile)?;
        run.armed.set_item(&id, armed_ms)?;
        for identifier in &identifiers {
            run.owners.set_item(&identifier, &id)?;
            run.moved.set_item(&identifier, &id)?;
        }
        incoming.who.bind(py).setattr(intern!(py, "owner"), &id)?;
        run.effects.append(self.told.created.bind(py).call1((&id, position, 0, now_ms))?)?;
        run.effects.append(self.told.admitted.bind(py).call1((&id, position, 1, now_ms, name))?)?;
        if to_tell {
            self.tell(run, (handler, &working), (&id, position, now_ms), 2)?;
        }
        Ok(true)
    }

    /// Effects and memberships of what has changed (`Run.tell`).
    fn tell(
        &self,
        run: &Gathered<'_>,
        (handler, working): (&Handler, &Working),
        (owner, position, now_ms): (&Bound<'_, PyAny>, u64, i64),
        first: u32,
    ) -> PyResult<()> {
        let py = owner.py();
        let mut n = first;
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

/// Whether there are such identifiers, nobody has any of them, and one person may have them all.
fn is_nobodys(run: &Gathered<'_>, identifiers: &Bound<'_, PyTuple>) -> PyResult<bool> {
    let mut unique = 0;
    for identifier in identifiers {
        let Ok(text) = identifier.extract::<&str>() else { return Ok(false) };
        unique += usize::from(text.starts_with(UNIQUE));
        if run.owners.contains(&identifier)? {
            return Ok(false);
        }
    }
    Ok(!identifiers.is_empty() && unique <= 1)
}

/// Msgpack of the links of each identifier to the first.
fn links(names: &[(Box<str>, i64)], (partition, position, now_ms): (u64, u64, i64)) -> Vec<u8> {
    let mut out = Vec::new();
    write_list(&mut out, names.len() - 1);
    for (name, _) in &names[1..] {
        write_list(&mut out, 6);
        write_text(&mut out, &names[0].0);
        write_text(&mut out, name);
        write_unsigned(&mut out, partition);
        write_unsigned(&mut out, position);
        write_text(&mut out, SHARED_EVENT);
        write_int(&mut out, now_ms);
    }
    out
}
