//! A profile as a worker remembers it: `onefold.model.profile.Profile` again, for Python the very same.

mod field;
mod recent;
mod stored;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

pub use field::Field;
use field::Kept;
use recent::Recent;

use crate::body::Body;
use crate::entries::{Entries, Name};
use crate::msgpack::{Reader, write_int, write_list, write_unsigned};
use crate::python::{decoded, thawed, write_object};
use crate::value::Value;
use crate::{Beyond, Here};

/// Numbers that come before the fields, in the order in which they are stored.
const NUMBERS: usize = 8;
/// So many fields a profile has that has no notes; with them one more.
const WITHOUT_NOTES: usize = NUMBERS + Field::ALL.len() - 1;
/// As `onefold.limits.NEVER_MS`.
const NEVER_MS: i64 = 1 << 53;
const USUAL_LINK_BYTES: usize = 128;
/// As `onefold.limits.LINKS_MAX`.
const LINKS_MAX: usize = 4_000;
/// A person with more identifiers has them looked up in a dictionary.
const FEW_IDENTIFIERS: usize = 32;

/// One person. Each field that is more than a number is kept as it was stored until somebody looks into it.
///
/// A field that Python asks for becomes an object, which stays the truth until the kernel needs the field, or the
/// profile is encoded; then the object is forgotten. So whoever calls a handler or encodes asks for fields anew.
#[pyclass(module = "onefold_kernel")]
#[derive(Debug)]
pub struct Profile {
    #[pyo3(get, set)]
    pub id: u64,
    #[pyo3(get, set)]
    created_at_ms: i64,
    #[pyo3(get, set)]
    now_ms: i64,
    #[pyo3(get, set)]
    version: i64,
    /// What of it is native is here, as `kept` says field by field; its numbers always are.
    body: Body,
    recent: Recent,
    kept: [Kept; Field::ALL.len()],
}

impl Profile {
    /// What definitions are about, with these fields native in it. `Beyond`: one of them cannot be; nothing is lost.
    pub fn body(&mut self, py: Python<'_>, fields: &[Field]) -> Here<&mut Body> {
        for field in fields {
            let body = &mut self.body;
            self.kept[*field as usize].freeze(py, *field, |reader| stored::read(body, *field, reader))?;
        }
        Ok(&mut self.body)
    }

    /// What definitions are about, once `body` has made it native.
    pub fn opened(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Somebody whom nobody has known before: nothing but the values of traits over no events, and two times.
    pub fn newcomer(id: u64, version: i64, computed: Entries<Value>, (at_ms, now_ms): (i64, i64)) -> Profile {
        let body = Body { first_seen_ms: at_ms, last_seen_ms: at_ms, due_ms: NEVER_MS, computed, ..Body::default() };
        let mut kept = blank();
        kept[Field::Computed as usize] = Kept::Native;
        Profile { id, created_at_ms: now_ms, now_ms, version, body, recent: Recent::default(), kept }
    }

    /// Make sure that a link can be added. `Beyond`: what there is of links is no list.
    pub fn prepare_links(&mut self, py: Python<'_>) -> Here<()> {
        let kept = &mut self.kept[Field::Links as usize];
        kept.store(py, Field::Links)?;
        Reader::new(kept.bytes(Field::Links).ok_or(Beyond)?).list().map(drop)
    }

    /// Add a link, once that is prepared; beyond so many, none is kept.
    pub fn add_link(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let kept = &mut self.kept[Field::Links as usize];
        let mut reader = Reader::new(kept.bytes(Field::Links).unwrap_or_default());
        let count = reader.list().unwrap_or_default();
        if count < LINKS_MAX {
            let mut links = Vec::with_capacity(reader.rest().len() + USUAL_LINK_BYTES);
            write_list(&mut links, count + 1);
            links.extend(reader.rest());
            write(&mut links);
            *kept = Kept::Stored(links.into());
        }
    }

    /// Make sure that an event can be seen. `Beyond`: what there is of events is not as it is known here.
    pub fn prepare(&mut self, py: Python<'_>) -> Here<()> {
        let recent = &mut self.recent;
        self.kept[Field::Recent as usize].freeze(py, Field::Recent, |reader| {
            *recent = Recent::read(reader)?;
            Ok(())
        })
    }

    /// See an event, once that is prepared (`onefold.model.profile.Profile.saw`).
    pub fn see(&mut self, at_ms: i64, now_ms: i64, place: u64) -> u8 {
        self.recent.add(place);
        self.now_ms = now_ms;
        let body = &mut self.body;
        body.events += 1;
        if body.events == 1 {
            3
        } else if at_ms > body.last_seen_ms {
            body.last_seen_ms = at_ms;
            2
        } else if at_ms < body.first_seen_ms {
            body.first_seen_ms = at_ms;
            1
        } else {
            0
        }
    }

    pub fn read(stored: &[u8]) -> Here<Profile> {
        let mut reader = Reader::new(stored);
        let size = reader.list()?;
        let mut profile = Profile::read_numbers(&mut reader)?;
        for field in Field::ALL {
            if field == Field::Notes && size == WITHOUT_NOTES {
                continue;
            }
            let begin = reader.rest();
            if field == Field::Declared {
                pass_declared(&mut reader)?;
            } else {
                reader.raw()?;
            }
            let bytes = &begin[..begin.len() - reader.rest().len()];
            profile.kept[field as usize] = Kept::stored(field, bytes);
        }
        let known = (WITHOUT_NOTES..=WITHOUT_NOTES + 1).contains(&size) && reader.is_done();
        if known { Ok(profile) } else { Err(Beyond) }
    }

    fn read_numbers(reader: &mut Reader<'_>) -> Here<Profile> {
        let (id, created_at_ms) = (reader.unsigned()?, reader.int()?);
        let mut body = Body { first_seen_ms: reader.int()?, last_seen_ms: reader.int()?, ..Body::default() };
        let now_ms = reader.int()?;
        body.due_ms = reader.int()?;
        let version = reader.int()?;
        body.events = reader.int()?;
        Ok(Profile { id, created_at_ms, now_ms, version, body, recent: Recent::default(), kept: blank() })
    }

    fn write_native(&self, field: Field, out: &mut Vec<u8>) {
        match field {
            Field::Recent => self.recent.write(out),
            _ => stored::write(&self.body, field, out),
        }
    }

    /// Whether rules of identity have something to say of the person.
    pub fn has_notes(&self, py: Python<'_>) -> bool {
        match &self.kept[Field::Notes as usize] {
            Kept::Stored(bytes) => !bytes.is_empty(),
            Kept::Native => false,
            Kept::Thawed(object) => !object.is_none(py),
        }
    }

    fn write_numbers(&self, out: &mut Vec<u8>) {
        write_unsigned(out, self.id);
        let body = &self.body;
        for number in [
            self.created_at_ms,
            body.first_seen_ms,
            body.last_seen_ms,
            self.now_ms,
            body.due_ms,
            self.version,
            body.events,
        ] {
            write_int(out, number);
        }
    }

    fn write_field(&self, py: Python<'_>, field: Field, out: &mut Vec<u8>) -> PyResult<()> {
        match &self.kept[field as usize] {
            Kept::Native => self.write_native(field, out),
            Kept::Thawed(object) => write_object(out, object.bind(py))?,
            stored @ Kept::Stored(_) => out.extend(stored.bytes(field).unwrap_or_default()),
        }
        Ok(())
    }

    /// Write its bytes over what is in `out`; where in them each field begins.
    fn write(&self, py: Python<'_>, out: &mut Vec<u8>) -> PyResult<[usize; Field::ALL.len()]> {
        out.clear();
        let mut begins = [0; Field::ALL.len()];
        let with_notes = self.has_notes(py);
        write_list(out, WITHOUT_NOTES + usize::from(with_notes));
        self.write_numbers(out);
        for field in Field::ALL {
            begins[field as usize] = out.len();
            if field != Field::Notes || with_notes {
                self.write_field(py, field, out)?;
            }
        }
        Ok(begins)
    }

    fn written<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        self.write(py, &mut out)?;
        Ok(PyBytes::new(py, &out))
    }

    /// As the state keeps it; `out` is for whoever encodes many. Objects that fields were thawed into are forgotten.
    pub fn encode_by<'py>(&mut self, py: Python<'py>, out: &mut Vec<u8>) -> PyResult<Bound<'py, PyBytes>> {
        let begins = self.write(py, out)?;
        for field in Field::ALL {
            let kept = &mut self.kept[field as usize];
            if let Kept::Thawed(_) = kept {
                let end = begins.get(field as usize + 1).copied().unwrap_or(out.len());
                *kept = Kept::stored(field, &out[begins[field as usize]..end]);
            }
        }
        Ok(PyBytes::new(py, out))
    }

    /// Python's own profile of the same contents, for what is asked too seldom to be done here.
    fn as_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        decoded(py, &self.written(py)?)
    }

    fn thaw<'py>(&mut self, py: Python<'py>, field: Field) -> PyResult<Bound<'py, PyAny>> {
        let mut kept = std::mem::replace(&mut self.kept[field as usize], Kept::Native);
        let object = kept.thaw(py, field, || {
            let mut bytes = Vec::new();
            self.write_native(field, &mut bytes);
            bytes
        });
        self.kept[field as usize] = kept;
        if object.is_ok() {
            self.forget_native(field);
        }
        object
    }

    fn set(&mut self, field: Field, object: Py<PyAny>) {
        self.kept[field as usize] = Kept::Thawed(object);
        self.forget_native(field);
    }

    fn forget_native(&mut self, field: Field) {
        match field {
            Field::Recent => self.recent = Recent::default(),
            _ => stored::forget(&mut self.body, field),
        }
    }

    /// Whether it has all of these identifiers.
    pub fn has_all_of<'a>(
        &mut self,
        py: Python<'_>,
        mut identifiers: impl Iterator<Item = &'a str> + Clone,
    ) -> PyResult<bool> {
        if let Ok(found) = self.has(identifiers.clone()) {
            return Ok(found);
        }
        let there = self.thaw(py, Field::Identifiers)?;
        Ok(identifiers.all(|each| there.contains(each).unwrap_or(false)))
    }

    /// The same. `Beyond`: they are to be looked up in a dictionary.
    fn has<'a>(&self, identifiers: impl Iterator<Item = &'a str>) -> Here<bool> {
        match &self.kept[Field::Identifiers as usize] {
            Kept::Native => Ok(all_among(identifiers, || self.body.identifiers.iter().map(|(name, _)| &**name))),
            stored @ Kept::Stored(_) => {
                let mut reader = Reader::new(stored.bytes(Field::Identifiers).ok_or(Beyond)?);
                let size = reader.map()?;
                if size > FEW_IDENTIFIERS {
                    return Err(Beyond);
                }
                let mut names = [""; FEW_IDENTIFIERS];
                for name in &mut names[..size] {
                    *name = reader.text()?;
                    reader.raw()?;
                }
                Ok(all_among(identifiers, || names[..size].iter().copied()))
            }
            Kept::Thawed(_) => Err(Beyond),
        }
    }
}

/// Fields with nothing in them.
fn blank() -> [Kept; Field::ALL.len()] {
    Field::ALL.map(|_| Kept::Stored(Box::default()))
}

fn all_among<'a, 'b, I: Iterator<Item = &'b str>>(
    mut identifiers: impl Iterator<Item = &'a str>,
    names: impl Fn() -> I,
) -> bool {
    identifiers.all(|each| names().any(|name| name == each))
}

/// Pass over declared traits. `Beyond`: they are from before places were kept, and are stored otherwise by now.
fn pass_declared(reader: &mut Reader<'_>) -> Here<()> {
    for _ in 0..reader.map()? {
        reader.text()?;
        if reader.list()? != 4 {
            return Err(Beyond);
        }
        for _ in 0..4 {
            reader.raw()?;
        }
    }
    Ok(())
}

#[pymethods]
impl Profile {
    /// A new one, with the fields that Python's own takes.
    #[new]
    #[pyo3(signature = (id, created_at_ms, first_seen_ms, last_seen_ms, now_ms, due_ms=NEVER_MS, version=0, events=0, **fields))]
    #[allow(clippy::too_many_arguments)] // as Python's own
    fn new(
        id: u64,
        created_at_ms: i64,
        first_seen_ms: i64,
        last_seen_ms: i64,
        now_ms: i64,
        due_ms: i64,
        version: i64,
        events: i64,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Profile> {
        let body = Body { first_seen_ms, last_seen_ms, events, due_ms, ..Body::default() };
        let mut profile =
            Profile { id, created_at_ms, now_ms, version, body, recent: Recent::default(), kept: blank() };
        for (name, object) in fields.into_iter().flatten() {
            let name = name.extract::<&str>()?;
            let field = Field::ALL.into_iter().find(|field| field.name() == name);
            let field = field.ok_or_else(|| PyTypeError::new_err(format!("a profile has no {name}")))?;
            profile.set(field, object.unbind());
        }
        Ok(profile)
    }

    /// The profile in these bytes; None: there is something in them that only Python knows.
    #[staticmethod]
    fn decode(data: &[u8]) -> Option<Profile> {
        Profile::read(data).ok()
    }

    /// As the state keeps it. Objects that fields were thawed into are forgotten.
    fn encode<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.encode_by(py, &mut Vec::new())
    }

    /// `onefold.model.profile.Profile.saw`.
    fn saw(&mut self, py: Python<'_>, at_ms: i64, now_ms: i64, place: u64) -> PyResult<u8> {
        self.prepare(py).map_err(|Beyond| PyValueError::new_err("these are no places of events"))?;
        Ok(self.see(at_ms, now_ms, place))
    }

    /// `onefold.model.profile.Profile.has_all`.
    fn has_all(&mut self, py: Python<'_>, identifiers: &Bound<'_, PyTuple>) -> PyResult<bool> {
        let identifiers = identifiers.iter().map(|each| each.extract::<String>()).collect::<PyResult<Vec<_>>>()?;
        self.has_all_of(py, identifiers.iter().map(String::as_str))
    }

    /// `onefold.model.profile.Profile.give`.
    fn give(&mut self, py: Python<'_>, identifier: &str, since_ms: i64) -> PyResult<()> {
        if !matches!(self.kept[Field::Identifiers as usize], Kept::Thawed(_))
            && let Ok(body) = self.body(py, &[Field::Identifiers])
        {
            match body.identifiers.iter_mut().find(|(name, _)| **name == *identifier) {
                Some((_, since)) => *since = since_ms,
                None => body.identifiers.push((identifier.into(), since_ms)),
            }
            return Ok(());
        }
        self.thaw(py, Field::Identifiers)?.set_item(identifier, since_ms)
    }

    /// `onefold.model.profile.Profile.keeps`.
    fn keeps(&mut self, py: Python<'_>, slot: &str) -> PyResult<bool> {
        if !matches!(self.kept[Field::Slots as usize], Kept::Thawed(_))
            && let Ok(body) = self.body(py, &[Field::Slots])
        {
            return Ok(body.slots.place(Name::of(slot)).is_some());
        }
        self.thaw(py, Field::Slots)?.contains(slot)
    }

    /// `onefold.model.profile.Profile.noted`.
    fn noted<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if !self.has_notes(py) {
            self.set(Field::Notes, thawed(py, Field::Notes.name(), &[0x80])?.unbind());
        }
        self.thaw(py, Field::Notes)
    }

    /// Of the same contents, kept in whatever way; what is no profile is another thing.
    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        match other.cast::<Profile>() {
            Ok(native) => self.as_python(py)?.eq(native.borrow().as_python(py)?),
            Err(_) => self.as_python(py)?.eq(other),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.as_python(py)?.repr()?.to_string())
    }

    /// Copies, and other processes', are made of the bytes.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        Ok((PyType::new::<Profile>(py).getattr("decode")?, (self.written(py)?,)))
    }

    #[getter]
    fn first_seen_ms(&self) -> i64 {
        self.body.first_seen_ms
    }

    #[setter]
    fn set_first_seen_ms(&mut self, at_ms: i64) {
        self.body.first_seen_ms = at_ms;
    }

    #[getter]
    fn last_seen_ms(&self) -> i64 {
        self.body.last_seen_ms
    }

    #[setter]
    fn set_last_seen_ms(&mut self, at_ms: i64) {
        self.body.last_seen_ms = at_ms;
    }

    #[getter]
    pub fn due_ms(&self) -> i64 {
        self.body.due_ms
    }

    #[setter]
    fn set_due_ms(&mut self, at_ms: i64) {
        self.body.due_ms = at_ms;
    }

    #[getter]
    pub fn events(&self) -> i64 {
        self.body.events
    }

    #[setter]
    fn set_events(&mut self, events: i64) {
        self.body.events = events;
    }

    #[getter]
    fn identifiers<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.thaw(py, Field::Identifiers)
    }

    #[setter]
    fn set_identifiers(&mut self, object: Py<PyAny>) {
        self.set(Field::Identifiers, object);
    }

    #[getter]
    fn declared<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.thaw(py, Field::Declared)
    }

    #[setter]
    fn set_declared(&mut self, object: Py<PyAny>) {
        self.set(Field::Declared, object);
    }

    #[getter]
    fn computed<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.thaw(py, Field::Computed)
    }

    #[setter]
    fn set_computed(&mut self, object: Py<PyAny>) {
        self.set(Field::Computed, object);
    }

    #[getter]
    fn slots<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.thaw(py, Field::Slots)
    }

    #[setter]
    fn set_slots(&mut self, object: Py<PyAny>) {
        self.set(Field::Slots, object);
    }

    #[getter]
    fn audiences<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.thaw(py, Field::Audiences)
    }

    #[setter]
    fn set_audiences(&mut self, object: Py<PyAny>) {
        self.set(Field::Audiences, object);
    }

    #[getter]
    fn links<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.thaw(py, Field::Links)
    }

    #[setter]
    fn set_links(&mut self, object: Py<PyAny>) {
        self.set(Field::Links, object);
    }

    #[getter]
    fn merges<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.thaw(py, Field::Merges)
    }

    #[setter]
    fn set_merges(&mut self, object: Py<PyAny>) {
        self.set(Field::Merges, object);
    }

    #[getter]
    fn recent<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.thaw(py, Field::Recent)
    }

    #[setter]
    fn set_recent(&mut self, object: Py<PyAny>) {
        self.set(Field::Recent, object);
    }

    #[getter]
    fn notes<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if !self.has_notes(py) {
            return Ok(py.None().into_bound(py));
        }
        self.thaw(py, Field::Notes)
    }

    #[setter]
    fn set_notes(&mut self, object: Py<PyAny>) {
        self.set(Field::Notes, object);
    }
}
