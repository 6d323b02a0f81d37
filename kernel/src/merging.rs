//! The states of two people become one's (`onefold.core.identity.merge`), slot by slot.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::body::Body;
use crate::definitions::{Definitions, Slot};
use crate::entries::{Entries, Name};
use crate::keeping::{State, opened};
use crate::{Beyond, Here};

/// Make sure that all slots that both have are known here. `Beyond`: one is not.
pub fn prepare(definitions: &Definitions, mine: &Body, theirs: &Body) -> Here<()> {
    let is_known = |name: Name| mine.slots.place(name).is_none() || definitions.slot(name).is_some();
    if theirs.slots.iter().all(|(name, _)| is_known(name)) { Ok(()) } else { Err(Beyond) }
}

/// Add all states of `theirs` to `mine`, once that is prepared; their names.
///
/// `other(name, bytes, bytes)`: the bytes of both as one, where the kernel does not know them.
pub fn merge(
    definitions: &Definitions,
    mine: &mut Body,
    theirs: Entries<Option<State>>,
    other: &Bound<'_, PyAny>,
) -> PyResult<Vec<&'static str>> {
    let mut names = Vec::with_capacity(theirs.len());
    for (name, state) in theirs.into_each() {
        names.push(name.text());
        match (mine.slots.place(name), definitions.slot(name)) {
            (Some(place), Some(slot)) => {
                if let (Some(mine), Some(theirs)) = (mine.slots.at_mut(place).1, state) {
                    add(slot, mine, theirs, other)?;
                }
            }
            (Some(_), None) => unreachable!("`prepare` has seen to it"),
            (None, _) => mine.slots.push(name, state),
        }
    }
    mine.has_stored = true;
    mine.opened.clear();
    Ok(names)
}

fn add(slot: &Slot, mine: &mut State, theirs: State, other: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut both = [Some(std::mem::replace(mine, State::Int(0))), Some(theirs)];
    let are_known = both.iter_mut().all(|state| opened(&*slot.keeping, state).is_ok());
    let [Some(first), Some(second)] = &mut both else { unreachable!("what is opened stays") };
    let merged = are_known && slot.keeping.merge(first, second).is_ok();
    if !merged {
        let py = other.py();
        let [first_bytes, second_bytes] = [&*first, &*second].map(|state| {
            let mut bytes = Vec::new();
            state.write(&mut bytes);
            PyBytes::new(py, &bytes)
        });
        let found = other.call1((slot.name.text(), first_bytes, second_bytes))?;
        *first = State::Stored(found.cast::<PyBytes>()?.as_bytes().into());
    }
    std::mem::swap(mine, first);
    Ok(())
}
