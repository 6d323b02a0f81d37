//! What a worker calls for an event of one name: `Handler.on` and `Handler.put` of `onefold.language.stream.program`.

use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::body::Body;
use crate::definitions::{Definitions, Judging, Outcome};
use crate::description;
use crate::event::Mentioned;
use crate::incoming::Incoming;
use crate::keeping::At;
use crate::merging;
use crate::plan::{Happened, Notes, Plan};
use crate::profile::{Field, Profile};
use crate::value::Value;
use crate::waking::{Waking, Woken};
use crate::{Beyond, Here};

/// What definitions may ask of a profile, and change; the last only where shares of all people are asked for.
pub const FIELDS: [Field; 5] = [Field::Slots, Field::Computed, Field::Audiences, Field::Declared, Field::Identifiers];

/// Those of them that are needed.
pub fn fields_of(asks_identifiers: bool) -> &'static [Field] {
    if asks_identifiers { &FIELDS } else { &FIELDS[..4] }
}

/// How traits and audiences are called in Python, and what says of an audience that it was left or entered.
pub struct Called {
    text: Box<str>,
    name: Py<PyString>,
    moves: [Py<PyTuple>; 2],
}

/// The definitions of one version, as far as the kernel knows them.
#[pyclass(module = "onefold_kernel", name = "Definitions", frozen)]
pub struct Compiled {
    definitions: Arc<Definitions>,
    called: Arc<Vec<Called>>,
}

#[pymethods]
impl Compiled {
    /// Of their names, by number, and their description. `ValueError`: it is not one.
    #[new]
    #[allow(clippy::needless_pass_by_value)] // as it comes
    fn new(py: Python<'_>, names: Vec<String>, described: &Bound<'_, PyAny>) -> PyResult<Compiled> {
        let value = Value::of(described).map_err(|Beyond| not_known())?;
        let definitions = description::definitions(&value).map_err(|Beyond| not_known())?;
        let called = names.iter().map(|name| Called::new(py, name)).collect::<PyResult<_>>()?;
        Ok(Compiled { definitions: Arc::new(definitions), called: Arc::new(called) })
    }

    /// Judge the definitions of these numbers, in this order, where time or anything but an event has changed something.
    /// False: this is Python's to do, and nothing has changed.
    #[allow(clippy::needless_pass_by_value)] // as it comes
    fn judge(
        &self,
        profile: &Bound<'_, PyAny>,
        numbers: Vec<usize>,
        now_ms: i64,
        changed: &Bound<'_, PyDict>,
        moves: &Bound<'_, PyList>,
    ) -> PyResult<bool> {
        let Ok(profile) = profile.cast::<Profile>() else { return Ok(false) };
        let mut profile = profile.borrow_mut();
        let fields = fields_of(self.definitions.asks_identifiers(&numbers));
        let Ok(body) = profile.body(changed.py(), fields) else { return Ok(false) };
        if self.definitions.prepare(&numbers, body).is_err() {
            return Ok(false);
        }
        let mut outcome = Outcome::default();
        let mut judging = Judging { definitions: &self.definitions, body, now_ms, outcome: &mut outcome };
        for number in numbers {
            judging.judge(number);
        }
        tell(&self.called, &outcome, (changed, moves)).map(|()| true)
    }

    /// Add the states of the second of these profiles, which is no more from then on, to those of the first; their keys.
    ///
    /// `other(key, bytes, bytes)`: the bytes of two states as one, where the kernel cannot say it. None: this is
    /// Python's to do, and nothing has changed.
    fn merge(
        &self,
        keep: &Bound<'_, PyAny>,
        gone: &Bound<'_, PyAny>,
        other: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Vec<&'static str>>> {
        let (Ok(keep), Ok(gone)) = (keep.cast::<Profile>(), gone.cast::<Profile>()) else { return Ok(None) };
        let (Ok(mut keep), Ok(mut gone)) = (keep.try_borrow_mut(), gone.try_borrow_mut()) else { return Ok(None) };
        let fields = &[Field::Slots];
        let (Ok(mine), Ok(theirs)) = (keep.body(other.py(), fields), gone.body(other.py(), fields)) else {
            return Ok(None);
        };
        if merging::prepare(&self.definitions, mine, theirs).is_err() {
            return Ok(None);
        }
        merging::merge(&self.definitions, mine, std::mem::take(&mut theirs.slots), other).map(Some)
    }

    /// What to do where time has come for a profile; see `Waking`.
    fn waking(&self, described: &Bound<'_, PyAny>) -> PyResult<Waking> {
        let woken = Value::of(described).and_then(|value| Woken::of(&value, &self.definitions));
        Ok(Waking::new(self.definitions.clone(), self.called.clone(), woken.map_err(|Beyond| not_known())?))
    }

    /// What to do with an event of one name; None where that touches what is not known here.
    ///
    /// `sources`: where in an event the plan's fields stand. `instead`: the same in Python, for what is beyond this.
    fn handler(
        &self,
        described: &Bound<'_, PyAny>,
        sources: &Bound<'_, PyList>,
        instead: Py<PyAny>,
    ) -> Option<Handler> {
        let read = || {
            let plan = description::plan(&Value::of(described)?, &self.definitions)?;
            Ok((plan, sources.iter().map(|each| Source::of(&each)).collect::<Here<Vec<_>>>()?))
        };
        let Ok::<_, Beyond>((plan, sources)) = read() else { return None };
        let (definitions, called) = (self.definitions.clone(), self.called.clone());
        Some(Handler { definitions, called, plan, sources, instead, working: Mutex::default() })
    }
}

fn not_known() -> PyErr {
    pyo3::exceptions::PyValueError::new_err("this is no description that the kernel knows")
}

impl Compiled {
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// The traits that have changed, in order; one may come again.
    pub fn changed<'a>(&'a self, outcome: &'a Outcome) -> impl Iterator<Item = (&'a str, &'a Value)> {
        outcome.changed.iter().map(|(number, value)| (&*self.called[*number].text, value))
    }

    /// The audiences that were entered (`true`) or left, in order.
    pub fn moves<'a>(&'a self, outcome: &'a Outcome) -> impl Iterator<Item = (&'a str, usize, bool)> {
        outcome.moves.iter().map(|(number, entered)| (&*self.called[*number].text, *number, *entered))
    }

    /// What the definition of this number is called.
    pub fn name<'py>(&self, py: Python<'py>, number: usize) -> &Bound<'py, PyString> {
        self.called[number].name.bind(py)
    }
}

impl Called {
    fn new(py: Python<'_>, text: &str) -> PyResult<Called> {
        let name = PyString::intern(py, text);
        let of = |entered: bool| {
            let entered = PyBool::new(py, entered).to_owned();
            PyTuple::new(py, [name.as_any(), entered.as_any()]).map(Bound::unbind)
        };
        Ok(Called { text: text.into(), moves: [of(false)?, of(true)?], name: name.unbind() })
    }
}

/// Where a field of an event stands.
enum Source {
    Type,
    /// The event's own name.
    Name,
    /// Of the traits that it declares.
    Traits(Vec<Py<PyAny>>),
    /// An attribute of one of its objects, and a path from there.
    Of(Py<PyString>, Py<PyString>, Vec<Py<PyAny>>),
}

impl Source {
    /// `(root, attribute, path)`.
    fn of(described: &Bound<'_, PyAny>) -> Here<Source> {
        let (root, attribute, path): (String, String, Vec<Py<PyAny>>) = described.extract().map_err(|_| Beyond)?;
        let py = described.py();
        Ok(match &*root {
            "type" => Source::Type,
            "name" => Source::Name,
            "traits" => Source::Traits(path),
            _ => Source::Of(PyString::intern(py, &root).unbind(), PyString::intern(py, &attribute).unbind(), path),
        })
    }

    /// What stands there; `Beyond`: what is no value here.
    fn read(&self, event: &Bound<'_, PyAny>) -> PyResult<Here<Value>> {
        let py = event.py();
        let found = match self {
            Source::Type => event.getattr(pyo3::intern!(py, "type"))?,
            Source::Name => {
                let kind = event.getattr(pyo3::intern!(py, "type"))?;
                if kind.eq("track")? { event.getattr(pyo3::intern!(py, "event"))? } else { kind }
            }
            Source::Traits(path) => dig(event.getattr(pyo3::intern!(py, "traits"))?, path)?,
            Source::Of(holder, attribute, path) => {
                let holder = event.getattr(holder.bind(py))?;
                if holder.is_none() { holder } else { dig(holder.getattr(attribute.bind(py))?, path)? }
            }
        };
        Ok(match Value::of(&found) {
            Ok(Value::Int(i64::MIN)) => Err(Beyond), // it has no negative
            other => other,
        })
    }
}

/// The value at a path into nested objects and lists (`onefold.language.values.dig`).
fn dig<'py>(value: Bound<'py, PyAny>, path: &[Py<PyAny>]) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let mut value = value;
    for step in path {
        let step = step.bind(py);
        let next = if let Ok(map) = value.cast_exact::<PyDict>() {
            map.get_item(step)?
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            step.extract().ok().and_then(|place: usize| list.get_item(place).ok())
        } else {
            None
        };
        match next {
            Some(next) => value = next,
            None => return Ok(py.None().into_bound(py)),
        }
    }
    Ok(value)
}

/// What to do with an event of one name.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Handler {
    definitions: Arc<Definitions>,
    called: Arc<Vec<Called>>,
    plan: Plan,
    sources: Vec<Source>,
    instead: Py<PyAny>,
    working: Mutex<Working>,
}

/// An event under way; kept to be used again.
#[derive(Default)]
pub struct Working {
    fields: Vec<Value>,
    /// What the reader of the latest event was told to look for, and where in that each source stands.
    mentioned: Option<Arc<Mentioned>>,
    places: Vec<Option<usize>>,
    outcome: Outcome,
    notes: Notes,
}

impl Working {
    /// What came of the latest event.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub fn outcome_mut(&mut self) -> &mut Outcome {
        &mut self.outcome
    }
}

impl Source {
    /// Where its field is among those that a reader of records was told to look for, if it is one.
    fn place_in(&self, py: Python<'_>, mentioned: &Mentioned) -> Option<usize> {
        let Source::Of(holder, attribute, _) = self else { return None };
        mentioned.place(holder.to_str(py).ok()?, attribute.to_str(py).ok()?)
    }

    /// What stands there in an event that the kernel has read; `Beyond`: what is no value here, or was not read.
    fn find(&self, py: Python<'_>, incoming: &Incoming, place: Option<usize>) -> Here<Value> {
        let (mut value, path) = match self {
            Source::Type => return Ok(Value::Str(incoming.read.kind.text().into())),
            Source::Name => return Ok(Value::Str(incoming.name().into())),
            Source::Traits(path) => (incoming.value(incoming.read.traits)?, path),
            Source::Of(_, _, path) => (incoming.field(place.ok_or(Beyond)?)?, path),
        };
        for step in path {
            value = match value {
                Value::Map(pairs) => {
                    let key: &str = step.extract(py).map_err(|_| Beyond)?;
                    pairs.into_iter().find(|(each, _)| **each == *key).map_or(Value::Null, |(_, found)| found)
                }
                Value::List(items) => {
                    let place: usize = step.extract(py).map_err(|_| Beyond)?;
                    items.into_iter().nth(place).unwrap_or(Value::Null)
                }
                _ => return Ok(Value::Null),
            }
        }
        if matches!(value, Value::Int(i64::MIN)) { Err(Beyond) } else { Ok(value) }
    }
}

/// An event's times, and what it changed of the built-ins.
type Times = (i64, i64, u8);

impl Handler {
    /// To work with, as long as nobody else does: another thread, or who was called from within.
    pub fn working(&self) -> Option<MutexGuard<'_, Working>> {
        self.working.try_lock().ok()
    }

    fn run(
        &self,
        working: &mut Working,
        profile: &Bound<'_, PyAny>,
        event: &Bound<'_, PyAny>,
        tie: &[u8],
        (at_ms, now_ms, seen): Times,
    ) -> PyResult<Here<()>> {
        let Ok(profile) = profile.cast::<Profile>() else { return Ok(Err(Beyond)) };
        working.fields.clear();
        for source in &self.sources {
            match source.read(event)? {
                Ok(value) => working.fields.push(value),
                Err(Beyond) => return Ok(Err(Beyond)),
            }
        }
        let Ok(mut profile) = profile.try_borrow_mut() else { return Ok(Err(Beyond)) };
        Ok(self.open(event.py(), &mut profile).map(|body| {
            let Working { fields, outcome, notes, .. } = working;
            let happened = Happened { fields, at: At { at_ms, tie, now_ms }, seen };
            self.plan.run(&self.definitions, (body, outcome), &happened, notes);
        }))
    }

    /// Read what an event that the kernel has read gives to this, and make sure that the profile is known here.
    /// `Beyond`: it is Python's; nothing has changed.
    pub fn prepare(
        &self,
        py: Python<'_>,
        profile: &mut Profile,
        incoming: &Incoming,
        working: &mut Working,
    ) -> Here<()> {
        self.find_fields(py, incoming, working)?;
        self.open(py, profile).map(drop)
    }

    /// What the profile has of what this is about, ready to be worked with. `Beyond`: it is not all known here.
    fn open<'a>(&self, py: Python<'_>, profile: &'a mut Profile) -> Here<&'a mut Body> {
        let body = profile.body(py, fields_of(self.plan.asks_identifiers))?;
        self.definitions.open_for(&self.plan, body)?;
        Ok(body)
    }

    fn find_fields(&self, py: Python<'_>, incoming: &Incoming, working: &mut Working) -> Here<()> {
        let mentioned = incoming.mentioned();
        if !working.mentioned.as_ref().is_some_and(|known| Arc::ptr_eq(known, mentioned)) {
            working.places.clear();
            working.places.extend(self.sources.iter().map(|source| source.place_in(py, mentioned)));
            working.mentioned = Some(mentioned.clone());
        }
        working.fields.clear();
        for (source, place) in self.sources.iter().zip(&working.places) {
            working.fields.push(source.find(py, incoming, *place)?);
        }
        Ok(())
    }

    /// Put the event that this was prepared for into the slots, and judge.
    pub fn go(&self, profile: &mut Profile, (incoming, seen): (&Incoming, u8), working: &mut Working) {
        let Working { fields, outcome, notes, .. } = working;
        let at = At { at_ms: incoming.at_ms, tie: &incoming.fingerprint, now_ms: incoming.received_ms };
        self.plan.run(&self.definitions, (profile.opened(), outcome), &Happened { fields, at, seen }, notes);
    }
}

/// The traits that have changed, by their names.
fn fill(changed: &Bound<'_, PyDict>, called: &[Called], outcome: &Outcome) -> PyResult<()> {
    let py = changed.py();
    for (number, value) in &outcome.changed {
        changed.set_item(called[*number].name.bind(py), value.to_python(py)?)?;
    }
    Ok(())
}

/// Tell Python what has changed.
pub fn tell(
    called: &[Called],
    outcome: &Outcome,
    (changed, moves): (&Bound<'_, PyDict>, &Bound<'_, PyList>),
) -> PyResult<()> {
    let py = changed.py();
    fill(changed, called, outcome)?;
    for (number, entered) in &outcome.moves {
        moves.append(called[*number].moves[usize::from(*entered)].bind(py))?;
    }
    Ok(())
}

#[pymethods]
impl Handler {
    /// Python's own, which is called for what is beyond this one.
    #[getter]
    fn instead(&self, py: Python<'_>) -> Py<PyAny> {
        self.instead.clone_ref(py)
    }

    /// Put the event into the slots of its profile, and judge what it changed (`onefold.language.stream.program.On`).
    #[allow(clippy::too_many_arguments)] // as it is called
    #[pyo3(signature = (profile, event, at_ms, tie, now_ms, seen, changed, moves, /))]
    fn on(
        &self,
        profile: &Bound<'_, PyAny>,
        event: &Bound<'_, PyAny>,
        at_ms: i64,
        tie: &Bound<'_, PyBytes>,
        now_ms: i64,
        seen: u8,
        changed: &Bound<'_, PyDict>,
        moves: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        let times = (at_ms, now_ms, seen);
        if moves.is_empty()
            && let Some(mut working) = self.working()
            && self.run(&mut working, profile, event, tie.as_bytes(), times)?.is_ok()
        {
            return tell(&self.called, &working.outcome, (changed, moves));
        }
        self.instead.bind(event.py()).call1((profile, event, at_ms, tie, now_ms, seen, changed, moves)).map(drop)
    }

    /// Put the event into the slots of its profile (`onefold.language.stream.program.Put`).
    #[pyo3(signature = (profile, event, at_ms, tie, now_ms, /))]
    fn put(
        &self,
        profile: &Bound<'_, PyAny>,
        event: &Bound<'_, PyAny>,
        at_ms: i64,
        tie: &Bound<'_, PyBytes>,
        now_ms: i64,
    ) -> PyResult<()> {
        if let Some(mut working) = self.working()
            && self.run(&mut working, profile, event, tie.as_bytes(), (at_ms, now_ms, 0))?.is_ok()
        {
            return Ok(());
        }
        self.instead.bind(event.py()).call1((profile, event, at_ms, tie, now_ms)).map(drop)
    }
}
