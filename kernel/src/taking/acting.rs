//! What an event does to a profile: all is made sure of first, then it is done (`onefold.core.fold`).

use std::collections::HashMap;
use std::sync::MutexGuard;

use pyo3::prelude::*;

use crate::declared::{Declaring, Said};
use crate::definitions::{Definitions, Judging, Outcome};
use crate::handler::{Compiled, Handler, Working, fields_of};
use crate::incoming::Incoming;
use crate::numbered::Secret;
use crate::profile::{Field, Profile};
use crate::taking::saying::traits_of;
use crate::{Beyond, Here};

/// What is run for the events of a name: Python's function, if the kernel has none of its own.
pub enum Part {
    Nothing,
    Native(Py<Handler>),
    Pythons,
}

/// How events of a name are taken (`onefold.language.stream.program.Handler`).
pub struct Way {
    /// Puts and judges; declared traits must not have changed.
    on: Part,
    /// Puts.
    put: Part,
    /// The definitions to be judged after `put`.
    triggered: Vec<usize>,
}

/// The same as Python tells it.
pub type Given<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Vec<usize>);

/// What a program does with events.
pub struct Ways {
    by_name: HashMap<String, Way, Secret>,
    compiled: Py<Compiled>,
    /// Trigger → the definitions that are to be judged where it has changed.
    dependents: HashMap<String, Vec<usize>>,
}

/// An event that is about to become part of a profile, or has.
pub struct Acting<'a> {
    handler: Option<(&'a Handler, MutexGuard<'a, Working>)>,
    declaring: Declaring,
    said: Said,
    /// The definitions to be judged, where declared traits have changed that some depend on.
    judged: Option<Vec<usize>>,
    ways: &'a Ways,
    /// What has come of it, where it has no handler.
    outcome: Outcome,
}

impl Part {
    /// Of Python's: None, the method of a native handler's, or a function.
    fn of(part: &Bound<'_, PyAny>) -> Part {
        if part.is_none() {
            return Part::Nothing;
        }
        part.cast::<Handler>().map_or(Part::Pythons, |handler| Part::Native(handler.clone().unbind()))
    }

    /// To work with; `Beyond`: it is Python's, or somebody works with it.
    fn begin(&self) -> Here<Option<(&Handler, MutexGuard<'_, Working>)>> {
        match self {
            Part::Nothing => Ok(None),
            Part::Native(handler) => {
                let handler = handler.get();
                Ok(Some((handler, handler.working().ok_or(Beyond)?)))
            }
            Part::Pythons => Err(Beyond),
        }
    }
}

impl Way {
    pub fn of((on, put, triggered): Given<'_>) -> Way {
        Way { on: Part::of(&on), put: Part::of(&put), triggered }
    }
}

impl Ways {
    pub fn new(
        by_name: HashMap<String, Way, Secret>,
        compiled: Py<Compiled>,
        dependents: HashMap<String, Vec<usize>>,
    ) -> Ways {
        Ways { by_name, compiled, dependents }
    }

    pub fn compiled(&self) -> &Compiled {
        self.compiled.get()
    }

    fn definitions(&self) -> &Definitions {
        self.compiled().definitions()
    }

    /// What the event of this name and place will do to the profile. `Beyond`: it is Python's; nothing has changed.
    pub fn prepare(
        &self,
        py: Python<'_>,
        profile: &mut Profile,
        (name, incoming, place): (&str, &Incoming, u64),
    ) -> Here<Acting<'_>> {
        let way = self.by_name.get(name).or_else(|| self.by_name.get("*")).ok_or(Beyond)?;
        let said = Said { at_ms: incoming.at_ms, tie: incoming.fingerprint.into(), place: Some(place) };
        let traits = traits_of(incoming)?;
        let declaring = if traits.is_empty() {
            Declaring::default()
        } else {
            profile.body(py, &[Field::Declared])?.declared.hear(traits, &said)
        };
        let judged = self.judged(way, &declaring);
        let mut handler = if judged.is_some() { way.put.begin()? } else { way.on.begin()? };
        if let Some((handler, working)) = &mut handler {
            handler.prepare(py, profile, incoming, working)?;
        }
        if let Some(numbers) = &judged {
            let definitions = self.definitions();
            let body = profile.body(py, fields_of(definitions.asks_identifiers(numbers)))?;
            definitions.prepare(numbers, body)?;
        }
        profile.prepare(py)?;
        Ok(Acting { handler, declaring, said, judged, ways: self, outcome: Outcome::default() })
    }

    /// The definitions to be judged because declared traits change, in order; `None`: there are none.
    fn judged(&self, way: &Way, declaring: &Declaring) -> Option<Vec<usize>> {
        let mut numbers: Vec<usize> = Vec::new();
        for dependents in declaring.changed().filter_map(|(name, _)| self.dependents.get(&format!("traits.{name}"))) {
            numbers.extend(dependents);
        }
        if numbers.is_empty() {
            return None;
        }
        numbers.extend(&way.triggered);
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers)
    }
}

impl Acting<'_> {
    /// Do it; the event was seen, and has changed so much of the built-ins. Whether there is something to tell.
    pub fn go(&mut self, profile: &mut Profile, (incoming, seen): (&Incoming, u8)) -> bool {
        if !self.declaring.is_empty() {
            profile.opened().declared.take(&self.declaring, &self.said);
        }
        if let Some((handler, working)) = &mut self.handler {
            handler.go(profile, (incoming, seen), working);
        }
        if let Some(numbers) = &self.judged {
            let outcome = match &mut self.handler {
                Some((_, working)) => working.outcome_mut(),
                None => &mut self.outcome,
            };
            let (definitions, now_ms) = (self.ways.definitions(), incoming.received_ms);
            let mut judging = Judging { definitions, body: profile.opened(), now_ms, outcome };
            for number in numbers {
                judging.judge(*number);
            }
        }
        let outcome = self.outcome();
        !(outcome.changed.is_empty() && outcome.moves.is_empty() && self.declaring.changed().next().is_none())
    }

    /// What it has declared that is another value now.
    pub fn declaring(&self) -> &Declaring {
        &self.declaring
    }

    /// What has come of definitions.
    pub fn outcome(&self) -> &Outcome {
        self.handler.as_ref().map_or(&self.outcome, |(_, working)| working.outcome())
    }
}
