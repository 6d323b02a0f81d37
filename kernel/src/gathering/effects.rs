//! The effects of a run in order, each as the msgpack that `onefold.model.effect.encode` writes of it.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PySet};

use crate::msgpack::{Reader, write_int, write_list, write_text, write_unsigned};
use crate::{Beyond, Here};

/// Fields of every effect, and its tag.
const ALWAYS: usize = 5;

/// `onefold.core.gathered.Effects`.
#[pyclass(module = "onefold_kernel")]
pub struct Effects {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    encode: Py<PyAny>,
    decode: Py<PyAny>,
}

/// Whose profile it is that something has happened to, at which position of the log, and when.
#[derive(Clone, Copy)]
pub struct About {
    pub profile: u64,
    pub position: u64,
    pub now_ms: i64,
}

#[pymethods]
impl Effects {
    /// `encode`: the bytes of one effect; `decode`: the effects in the bytes of a list.
    #[new]
    fn new(encode: Py<PyAny>, decode: Py<PyAny>) -> Effects {
        Effects { bytes: Vec::new(), ends: Vec::new(), encode, decode }
    }

    fn __len__(&self) -> usize {
        self.ends.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.decode.bind(py).call1((self.encoded(py),))?.try_iter()
    }

    fn append(&mut self, effect: &Bound<'_, PyAny>) -> PyResult<()> {
        let encoded = self.encode.bind(effect.py()).call1((effect,))?;
        self.bytes.extend(encoded.cast::<PyBytes>()?.as_bytes());
        self.ends.push(self.bytes.len());
        Ok(())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// All of them as one list.
    fn encoded<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut list = Vec::with_capacity(self.bytes.len() + 5);
        write_list(&mut list, self.ends.len());
        list.extend(&self.bytes);
        PyBytes::new(py, &list)
    }

    /// Let go of what happened to these people; the positions of their events.
    fn retract<'py>(&mut self, people: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
        let positions = PySet::empty(people.py())?;
        let mut left = Vec::with_capacity(self.ends.len());
        for effect in self.each() {
            let Ok(head) = Head::of(effect) else { unreachable!("each effect was written as one") };
            if !people.contains(head.profile)? {
                left.push(effect);
            } else if head.is_admitted {
                positions.add(head.position)?;
            }
        }
        let (bytes, ends) = joined(&left);
        (self.bytes, self.ends) = (bytes, ends);
        Ok(positions)
    }

    /// Sort them by position, and those of one position by their numbers.
    fn put_in_order(&mut self) {
        let mut effects: Vec<&[u8]> = self.each().collect();
        effects.sort_by_cached_key(|effect| Head::of(effect).map(|head| (head.position, head.n)).ok());
        let (bytes, ends) = joined(&effects);
        (self.bytes, self.ends) = (bytes, ends);
    }
}

impl Effects {
    /// Add one of this kind, whose further fields, so many, `write` appends.
    pub fn add(&mut self, tag: &str, n: u64, about: About, (more, write): (usize, impl FnOnce(&mut Vec<u8>))) {
        let out = &mut self.bytes;
        write_list(out, ALWAYS + more);
        write_text(out, tag);
        write_unsigned(out, about.profile);
        write_unsigned(out, about.position);
        write_unsigned(out, n);
        write_int(out, about.now_ms);
        write(out);
        self.ends.push(out.len());
    }

    fn each(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }
}

fn joined(effects: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
    let mut end = 0;
    let ends = effects.iter().map(|effect| {
        end += effect.len();
        end
    });
    let ends = ends.collect();
    (effects.concat(), ends)
}

/// What every effect begins with.
struct Head {
    is_admitted: bool,
    profile: u64,
    position: u64,
    n: u64,
}

impl Head {
    fn of(effect: &[u8]) -> Here<Head> {
        let mut reader = Reader::new(effect);
        if reader.list()? < ALWAYS {
            return Err(Beyond);
        }
        Ok(Head {
            is_admitted: reader.text()? == "admitted",
            profile: reader.unsigned()?,
            position: reader.unsigned()?,
            n: reader.unsigned()?,
        })
    }
}
