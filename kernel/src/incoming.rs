//! Events on their way through the step: read from the log's records, with corrected times, a fingerprint, and whose
//! they are (`onefold.core.batch`).

use std::sync::{Arc, OnceLock};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use xxhash_rust::xxh3::xxh3_128;

use crate::Here;
use crate::event::{Entry, Event, Kind, Member, Mentioned, Span, read_entry};
use crate::json::Json;
use crate::value::Value;
use crate::who::{Who, Whos};

/// One event, as `onefold.core.batch.Incoming`; `event` is decoded by Python where Python asks for it.
#[pyclass(module = "onefold_kernel")]
pub struct Incoming {
    pub read: Event,
    record: Arc<Record>,
    #[pyo3(get)]
    pub position: u64,
    #[pyo3(get)]
    pub received_ms: i64,
    #[pyo3(get)]
    pub at_ms: i64,
    pub fingerprint: [u8; 16],
    #[pyo3(get)]
    pub who: Py<Who>,
    #[pyo3(get, set)]
    pub account: Option<Py<PyAny>>,
    excerpt: OnceLock<Py<PyAny>>,
}

impl Incoming {
    /// The name that handlers go by: a track event's own, else its type.
    pub fn name(&self) -> &str {
        match self.read.name.of(&self.record.text) {
            quoted if self.read.kind == Kind::Track && quoted.len() >= 2 => &quoted[1..quoted.len() - 1],
            _ => self.read.kind.text(),
        }
    }

    /// The fields that its reader was told to look for.
    pub fn mentioned(&self) -> &Arc<Mentioned> {
        &self.record.mentioned
    }

    /// The field at this place in `mentioned`.
    pub fn field(&self, place: usize) -> Here<Value> {
        self.value(self.read.fields[place])
    }

    /// What stands there in its record; where that is nothing, it is missing.
    pub fn value(&self, span: Span) -> Here<Value> {
        match span.of(&self.record.text) {
            "" => Ok(Value::Null),
            json => Json::new(json).value(),
        }
    }
}

/// What all events of a record have in common.
struct Record {
    /// Copied once, so that nobody has to look again whether it is UTF-8.
    text: Box<str>,
    source: Py<PyString>,
    decode: Py<PyAny>,
    mentioned: Arc<Mentioned>,
}

impl Record {
    /// One of its events as Python's excerpt, which is kept in `made`.
    fn excerpt<'py>(&self, py: Python<'py>, event: &Event, made: &OnceLock<Py<PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(excerpt) = made.get() {
            return Ok(excerpt.bind(py).clone());
        }
        let excerpt = self.decode.bind(py).call1((event.whole.of(&self.text),))?;
        Ok(made.get_or_init(|| excerpt.unbind()).bind(py).clone())
    }
}

#[pymethods]
impl Incoming {
    #[getter]
    fn source<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        self.record.source.bind(py).clone()
    }

    #[getter]
    fn fingerprint<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.fingerprint)
    }

    #[getter]
    fn event<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.record.excerpt(py, &self.read, &self.excerpt)
    }
}

/// Reads the records of a log: of their events just what the step and some definitions use.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Decoder {
    mentioned: Arc<Mentioned>,
    decode: Py<PyAny>,
}

#[pymethods]
impl Decoder {
    /// Of the properties and the context that are mentioned: (name, attribute). `decode`: the excerpt of one event, from its bytes.
    #[new]
    fn new(properties: Vec<(String, String)>, context: Vec<(String, String)>, decode: Py<PyAny>) -> Decoder {
        let members = |pairs: Vec<(String, String)>| {
            pairs.into_iter().map(|(name, attribute)| Member { name, attribute }).collect()
        };
        let mentioned = Mentioned { properties: members(properties), context: members(context) };
        Decoder { mentioned: Arc::new(mentioned), decode }
    }

    /// The events of a record; None where it is another entry, or not as collect writes it.
    fn read(&self, py: Python<'_>, record: &[u8]) -> Option<Run> {
        let text = std::str::from_utf8(record).ok()?;
        let Entry { source, at_ms, sent_at_ms, events } = read_entry(text, &self.mentioned).ok()?;
        let source = PyString::new(py, &source).unbind();
        let (decode, mentioned) = (self.decode.clone_ref(py), self.mentioned.clone());
        let record = Arc::new(Record { text: text.into(), source, decode, mentioned });
        Some(Run { record, at_ms, sent_at_ms, events })
    }
}

/// The events of one record, read.
#[pyclass(module = "onefold_kernel")]
pub struct Run {
    record: Arc<Record>,
    #[pyo3(get)]
    at_ms: i64,
    sent_at_ms: Option<i64>,
    events: Vec<Event>,
}

#[pymethods]
impl Run {
    fn __len__(&self) -> usize {
        self.events.len()
    }

    /// Its events on their way, which it gives away: `first` is the position of the first of them in `partition`.
    ///
    /// `now_ms` is the log's time; the finder's `find_anew` says whose an excerpt is, and its `whos`, if it has any,
    /// remembers that.
    fn incoming<'py>(
        &mut self,
        py: Python<'py>,
        partition: u64,
        first: u64,
        now_ms: i64,
        finder: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let find = finder.getattr(intern!(py, "find_anew"))?;
        let mut whos: Option<PyRefMut<'py, Whos>> = finder.getattr(intern!(py, "whos"))?.extract()?;
        let record = &self.record;
        let source = record.source.bind(py).to_str()?;
        let mut named = format!("{source}\0").into_bytes();
        let made = PyList::empty(py);
        let text = &*record.text;
        for (position, read) in (first..).zip(std::mem::take(&mut self.events)) {
            let digest = match read.message.of(text) {
                "" | "\"\"" => xxh3_128(format!("\0{source}\0{partition}:{position:x}").as_bytes()),
                message => {
                    named.truncate(source.len() + 1);
                    named.extend(&message.as_bytes()[1..message.len() - 1]);
                    xxh3_128(&named)
                }
            };
            let excerpt = OnceLock::new();
            let ask = || Who::of(&find.call1((record.excerpt(py, &read, &excerpt)?,))?);
            let who = match whos.as_mut().filter(|_| read.is_plain) {
                Some(whos) => whos.get(py, (read.user.of(text), read.anonymous.of(text)), ask)?,
                None => Py::new(py, ask()?)?,
            };
            made.append(Incoming {
                at_ms: self.happened_ms(&read, now_ms),
                read,
                record: record.clone(),
                position,
                received_ms: now_ms,
                fingerprint: digest.to_be_bytes(),
                who,
                account: None,
                excerpt,
            })?;
        }
        Ok(made)
    }
}

impl Run {
    /// When an event happened, by its sender's clock corrected by ours (DESIGN §5): never after `now_ms`.
    fn happened_ms(&self, event: &Event, now_ms: i64) -> i64 {
        let at_ms = match (event.original_ms, event.sent_ms.or(self.sent_at_ms)) {
            (None, _) => now_ms,
            (Some(original_ms), None) => original_ms,
            (Some(original_ms), Some(sent_ms)) => self.at_ms - (sent_ms - original_ms),
        };
        at_ms.max(0).min(now_ms)
    }
}
