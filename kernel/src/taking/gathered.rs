//! What a run has gathered so far (`onefold.core.run.Run`).

use std::cell::RefCell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::gathering::{Effects, Instants, Messages};
use crate::handler::Compiled;
use crate::memory::People;

/// What ordinary events look up in a run, and add to.
pub struct Gathered<'py> {
    pub partition: u64,
    pub profiles: Bound<'py, People>,
    pub owners: Bound<'py, PyDict>,
    pub moved: Bound<'py, PyDict>,
    /// Nothing was undone that people who come anew have no notes of.
    pub is_whole: bool,
    pub seen: Bound<'py, PyDict>,
    pub messages: Bound<'py, Messages>,
    pub touched: Bound<'py, PyDict>,
    pub armed: Bound<'py, Instants>,
    pub effects: Bound<'py, Effects>,
    members: Bound<'py, PyAny>,
    /// Moves that `members` does not know yet.
    pub moves: RefCell<Vec<Move>>,
}

/// Somebody entered the audience of this number, then, or has left it (0).
pub struct Move {
    pub audience: usize,
    pub profile: u64,
    pub since_ms: i64,
}

impl<'py> Gathered<'py> {
    /// None: the run gathers in Python's containers.
    pub fn of(run: &Bound<'py, PyAny>) -> PyResult<Option<Gathered<'py>>> {
        let py = run.py();
        let Ok(profiles) = run.getattr(intern!(py, "profiles"))?.cast_into() else { return Ok(None) };
        let Ok(effects) = run.getattr(intern!(py, "effects"))?.cast_into() else { return Ok(None) };
        Ok(Some(Gathered {
            partition: run.getattr(intern!(py, "partition"))?.extract()?,
            profiles,
            owners: run.getattr(intern!(py, "owners"))?.cast_into()?,
            moved: run.getattr(intern!(py, "moved"))?.cast_into()?,
            is_whole: run.getattr(intern!(py, "parted"))?.is_none(),
            seen: run.getattr(intern!(py, "seen"))?.cast_into()?,
            messages: run.getattr(intern!(py, "messages"))?.cast_into()?,
            touched: run.getattr(intern!(py, "touched"))?.cast_into()?,
            armed: run.getattr(intern!(py, "armed"))?.cast_into()?,
            effects,
            members: run.getattr(intern!(py, "members"))?,
            moves: RefCell::default(),
        }))
    }

    /// Tell `members` of the moves, one audience after the other: each is looked up once, and near when it is added to.
    pub fn settle(&self, compiled: &Compiled) -> PyResult<()> {
        let mut moves = self.moves.take();
        moves.sort_by_key(|each| each.audience);
        for of_audience in moves.chunk_by(|a, b| a.audience == b.audience) {
            let members = self.members.get_item(compiled.name(self.members.py(), of_audience[0].audience))?;
            let mut members = members.cast::<Instants>()?.borrow_mut();
            for each in of_audience {
                members.note(each.profile, each.since_ms);
            }
        }
        Ok(())
    }

    /// Whether this commit or one before it has admitted the message of this fingerprint.
    pub fn has(&self, fingerprint: &[u8; 16]) -> PyResult<bool> {
        if self.messages.borrow().0.contains(fingerprint) {
            return Ok(true);
        }
        Ok(!self.seen.is_empty() && self.seen.contains(PyBytes::new(self.seen.py(), fingerprint))?)
    }
}
