//! What time alone does to a profile: windows lose their oldest events, moving comparisons turn
//! (`onefold.core.timers.wake`).

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::body::Body;
use crate::definitions::{Definitions, Judging, Outcome, Slot};
use crate::description::{by_text, each, field, place, text, truth};
use crate::entries::Name;
use crate::handler::{Called, FIELDS, tell};
use crate::keeping::{Expiry, NEVER_MS, opened};
use crate::profile::Profile;
use crate::value::Value;
use crate::{Beyond, Here};

/// What depends on what, by the numbers of slots and definitions.
pub struct Woken {
    /// Slots of which time takes something out; `None`: Python does that.
    expiring: HashMap<Name, Option<usize>>,
    /// Definitions that a cause may change, in order.
    dependents: HashMap<Box<str>, Vec<usize>>,
    /// Slots that a definition looks into; `None`: it is not known here.
    looks: Vec<Option<Vec<usize>>>,
    asks_identifiers: bool,
}

/// The cause that time is for definitions that move with it (`onefold.language.stream.program.NOW`).
const NOW: &str = "now";

impl Woken {
    /// Of `{"slots": [key, ...], "dependents": {cause: [number, ...]}, "looks": [[number, ...], ...],
    /// "asks_identifiers": bool}`, where `slots` are all that the program keeps.
    pub fn of(described: &Value, definitions: &Definitions) -> Here<Woken> {
        let dependents = by_text(field(described, "dependents")?, |numbers| each(numbers, place))?;
        let keys = each(field(described, "slots")?, |key| text(key).map(Box::<str>::from))?;
        let expiring = keys.iter().filter_map(|key| expiring(definitions, key)).collect();
        let looks = each(field(described, "looks")?, |slots| each(slots, place))?;
        let known = looks.into_iter().zip(&definitions.all).map(|(slots, definition)| {
            let are_known = slots.iter().all(|slot| definitions.slots.get(*slot).is_some_and(Option::is_some));
            (definition.is_some() && are_known).then_some(slots)
        });
        let asks_identifiers = truth(field(described, "asks_identifiers")?)?;
        Ok(Woken { expiring, dependents, looks: known.collect(), asks_identifiers })
    }

    fn definitions_of<'a>(&'a self, cause: &str) -> &'a [usize] {
        self.dependents.get(cause).map_or(&[], Vec::as_slice)
    }
}

/// A slot that may have to do with time; `None`: never.
fn expiring(definitions: &Definitions, key: &str) -> Option<(Name, Option<usize>)> {
    let name = Name::of(key);
    let known = definitions.slots.iter().position(|slot| slot.as_ref().is_some_and(|slot| slot.name == name));
    let expiry = known.and_then(|number| definitions.slots[number].as_ref()).map(|slot| slot.keeping.expiry());
    match expiry {
        Some(Expiry::Never) => None,
        Some(Expiry::Here) => Some((name, known)),
        Some(Expiry::Beyond) | None => Some((name, None)),
    }
}

/// What to do where time has come for a profile.
#[pyclass(module = "onefold_kernel")]
pub struct Waking {
    definitions: Arc<Definitions>,
    called: Arc<Vec<Called>>,
    woken: Woken,
    outcome: Outcome,
    /// Definitions to be judged; kept to be used again.
    due: Vec<usize>,
}

impl Waking {
    pub fn new(definitions: Arc<Definitions>, called: Arc<Vec<Called>>, woken: Woken) -> Waking {
        Waking { definitions, called, woken, outcome: Outcome::default(), due: Vec::new() }
    }

    /// How the state of this name expires, if it does. `Beyond`: Python does that.
    fn expiring(&self, name: Name) -> Here<Option<&Slot>> {
        match self.woken.expiring.get(&name) {
            None => Ok(None),
            Some(number) => number.and_then(|number| self.definitions.slots[number].as_ref()).map(Some).ok_or(Beyond),
        }
    }

    /// Gather what is to be judged. Nothing changes yet but that states are read.
    fn look(&mut self, body: &mut Body, now_ms: i64, also: &[String]) -> Here<()> {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        due.extend(self.woken.definitions_of(NOW));
        for cause in also {
            due.extend(self.woken.definitions_of(cause));
        }
        for place in 0..body.slots.len() {
            let (name, state) = body.slots.at_mut(place);
            let Some(slot) = self.expiring(name)? else { continue };
            opened(&*slot.keeping, state)?;
            if state.as_mut().is_some_and(|state| slot.keeping.gone_ms(state) <= now_ms) {
                due.extend(self.woken.definitions_of(name.text()));
            }
        }
        due.sort_unstable();
        due.dedup();
        for number in &due {
            let looks = self.woken.looks.get(*number).and_then(Option::as_ref).ok_or(Beyond)?;
            self.definitions.open(looks, body)?;
        }
        self.due = due;
        Ok(())
    }

    /// Drop what time has taken out, and arm for when it next does.
    fn expire(&self, body: &mut Body, now_ms: i64) {
        body.due_ms = NEVER_MS;
        let mut place = 0;
        while place < body.slots.len() {
            let (name, state) = body.slots.at_mut(place);
            let (Ok(Some(slot)), Some(state)) = (self.expiring(name), state) else {
                place += 1;
                continue;
            };
            if slot.keeping.expire(state, now_ms) {
                body.slots.remove_at(place);
            } else {
                body.due_ms = body.due_ms.min(slot.keeping.gone_ms(state));
                place += 1;
            }
        }
    }

    fn run(&mut self, py: Python<'_>, profile: &mut Profile, now_ms: i64, also: &[String]) -> Here<()> {
        let fields = if self.woken.asks_identifiers { &FIELDS[..] } else { &FIELDS[..4] };
        let body = profile.body(py, fields)?;
        self.look(body, now_ms, also)?;
        self.expire(body, now_ms);
        self.outcome.changed.clear();
        self.outcome.moves.clear();
        let mut judging = Judging { definitions: &self.definitions, body, now_ms, outcome: &mut self.outcome };
        for number in &self.due {
            judging.judge(*number);
        }
        Ok(())
    }
}

#[pymethods]
impl Waking {
    /// Bring a profile to this instant, and arm it for the next at which it can change; `also`: other causes to judge for.
    ///
    /// False: there is something that is left to Python, and nothing has changed.
    #[pyo3(signature = (profile, now_ms, also, changed, moves, /))]
    #[allow(clippy::needless_pass_by_value)] // as it is called
    fn wake(
        &mut self,
        profile: &Bound<'_, PyAny>,
        now_ms: i64,
        also: Vec<String>,
        changed: &Bound<'_, PyDict>,
        moves: &Bound<'_, PyList>,
    ) -> PyResult<bool> {
        let Ok(native) = profile.cast::<Profile>() else { return Ok(false) };
        if self.run(profile.py(), &mut native.borrow_mut(), now_ms, &also).is_err() {
            return Ok(false);
        }
        tell(&self.called, &self.outcome, (changed, moves))?;
        Ok(true)
    }
}
