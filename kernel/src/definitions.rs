//! The definitions of one version, and how each is judged (`onefold.language.stream.definition`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::body::Body;
use crate::crossings::{Crossings, Turns};
use crate::entries::{Entries, Name};
use crate::expression::{Expression, Person, Scope, Slots, Test};
use crate::keeping::monoid::Asked;
use crate::keeping::{Due, Keeping, State, opened};
use crate::plan::Plan;
use crate::value::Value;
use crate::zones::Zone;
use crate::{Beyond, Here};

/// So many plans are remembered of a profile to have looked into its slots.
const OPENED_MAX: usize = 64;

/// The states of a profile's slots.
type States = Entries<Option<State>>;

/// What is kept under a name, and how.
pub struct Slot {
    pub name: Name,
    pub keeping: Box<dyn Keeping>,
    /// Where it stood among the states that were looked into last; there it is looked for first.
    place: AtomicUsize,
}

impl Slot {
    pub fn new(name: Name, keeping: Box<dyn Keeping>) -> Slot {
        Slot { name, keeping, place: AtomicUsize::new(0) }
    }

    /// Where it stands among these, if it is there.
    pub fn place(&self, states: &States) -> Option<usize> {
        self.place_near(states, self.place.load(Ordering::Relaxed))
    }

    /// The same, where it most likely stands there: slots that one event was put into first are neighbours.
    pub fn place_near(&self, states: &States, likely: usize) -> Option<usize> {
        let place = if states.is_at(likely, self.name) { likely } else { states.place(self.name)? };
        self.place.store(place, Ordering::Relaxed);
        Some(place)
    }

    /// Its state among these, if it is there.
    fn state<'a>(&self, states: &'a mut States) -> Option<&'a mut State> {
        self.place(states).and_then(|place| states.at_mut(place).1.as_mut())
    }
}

/// A definition that is known here.
pub enum Definition {
    Trait {
        name: Name,
        value: Expression,
        /// Its values are instants.
        is_instant: bool,
    },
    Audience {
        name: Name,
        condition: Test,
    },
}

/// Audiences that ask one trait for a text, or to be true, by what they ask for.
pub struct Gate {
    pub name: Name,
    pub texts: HashMap<Box<str>, Vec<usize>>,
    pub truths: Vec<usize>,
}

/// Crossings of one input, and, of a count, the numbers at which they move somebody.
pub struct Crossing {
    pub crossings: Crossings,
    pub turns: Vec<i64>,
}

/// All of them. What is not known here is `None`; what needs it is not made.
#[derive(Default)]
pub struct Definitions {
    pub slots: Vec<Option<Slot>>,
    pub all: Vec<Option<Definition>>,
    /// Of each definition, the slots that it looks into; and whether it asks for the person's identifiers.
    pub looks: Vec<(Vec<usize>, bool)>,
    pub gates: Vec<Option<Gate>>,
    pub crossings: Vec<Crossing>,
    /// Audiences that being seen again can only end; those of them for which a first event counts.
    pub lapsing: Vec<usize>,
    pub waiting: Vec<usize>,
    /// Name of a slot → its number.
    pub numbers: HashMap<Name, usize>,
}

/// What an event has changed of traits and audiences, by the numbers of their definitions.
#[derive(Default)]
pub struct Outcome {
    pub changed: Vec<(usize, Value)>,
    pub moves: Vec<(usize, bool)>,
}

/// What is judged: a profile, at an instant, and what comes of it.
pub struct Judging<'a> {
    pub definitions: &'a Definitions,
    pub body: &'a mut Body,
    pub now_ms: i64,
    pub outcome: &'a mut Outcome,
}

struct Kept<'a> {
    entries: RefCell<&'a mut States>,
    slots: &'a [Option<Slot>],
}

impl Slots for Kept<'_> {
    fn value(&self, slot: usize, level: Option<f64>, now_ms: i64, due: &mut Due) -> Value {
        let Some(slot) = &self.slots[slot] else { return Value::Null };
        let mut entries = self.entries.borrow_mut();
        slot.keeping.value(slot.state(&mut entries), now_ms, due, level)
    }

    fn value_in(&self, zone: Option<&'static Zone>, slot: usize, asked: Asked<'_>) -> Value {
        let Some(slot) = &self.slots[slot] else { return Value::Null };
        let mut entries = self.entries.borrow_mut();
        slot.keeping.value_of_person(slot.state(&mut entries), zone, asked)
    }
}

impl Definitions {
    /// The slot of this name.
    #[must_use]
    pub fn slot(&self, name: Name) -> Option<&Slot> {
        self.numbers.get(&name).and_then(|number| self.slots[*number].as_ref())
    }

    /// The audience of this number.
    #[must_use]
    pub fn audience(&self, number: usize) -> Option<Name> {
        match self.all.get(number)? {
            Some(Definition::Audience { name, .. }) => Some(*name),
            _ => None,
        }
    }

    /// Make sure that these definitions are known here and can be judged. `Beyond`: they cannot; nothing has changed.
    pub fn prepare(&self, numbers: &[usize], body: &mut Body) -> Here<()> {
        for number in numbers {
            let (slots, _) = self.looks.get(*number).filter(|_| self.all[*number].is_some()).ok_or(Beyond)?;
            self.open(slots, body)?;
        }
        Ok(())
    }

    /// Whether one of these asks for the person's identifiers.
    #[must_use]
    pub fn asks_identifiers(&self, numbers: &[usize]) -> bool {
        numbers.iter().any(|number| self.looks.get(*number).is_some_and(|(_, asks)| *asks))
    }

    /// Read the states of these slots. `Beyond`: one has a shape that is not known here; nothing has changed then.
    pub fn open(&self, slots: &[usize], body: &mut Body) -> Here<()> {
        for number in slots {
            let slot = self.slots[*number].as_ref().ok_or(Beyond)?;
            if body.has_stored
                && let Some(place) = slot.place(&body.slots)
            {
                opened(&*slot.keeping, body.slots.at_mut(place).1)?;
            }
        }
        Ok(())
    }

    /// The same of a plan's slots, which are known here; once for as long as nothing is stored anew.
    pub fn open_for(&self, plan: &Plan, body: &mut Body) -> Here<()> {
        if !body.has_stored || body.opened.contains(&plan.id) {
            return Ok(());
        }
        self.open(&plan.slots, body)?;
        if body.opened.len() == OPENED_MAX {
            body.opened.clear();
        }
        body.opened.push(plan.id);
        Ok(())
    }
}

impl Judging<'_> {
    /// Judge the definition of this number; the value that a trait had, where it has another now.
    pub fn judge(&mut self, number: usize) -> Option<Value> {
        match self.definitions.all[number].as_ref()? {
            Definition::Trait { name, value, is_instant } => self.judge_trait(number, *name, value, *is_instant),
            Definition::Audience { name, condition } => {
                let holds = self.scoped(|scope| condition.holds(scope));
                self.enter(number, *name, holds);
                None
            }
        }
    }

    fn judge_trait(&mut self, number: usize, name: Name, expression: &Expression, is_instant: bool) -> Option<Value> {
        let value = self.scoped(|scope| expression.value(scope).into_owned());
        let value = match value {
            Value::Int(at_ms) if is_instant => Value::Instant(at_ms),
            other => other,
        };
        let old = self.body.computed.get(name).unwrap_or(&Value::Null);
        if value.is_identical(old) {
            return None;
        }
        let old = self.body.computed.replace(name, (!matches!(value, Value::Null)).then(|| value.clone()));
        self.outcome.changed.push((number, value));
        Some(old.unwrap_or(Value::Null))
    }

    /// The audience holds or not: who was outside enters, who was in it leaves.
    fn enter(&mut self, number: usize, name: Name, holds: bool) {
        let audiences = &mut self.body.audiences;
        match (audiences.place(name), holds) {
            (None, true) => audiences.push(name, self.now_ms),
            (Some(place), false) => drop(audiences.remove_at(place)),
            _ => return,
        }
        self.outcome.moves.push((number, holds));
    }

    /// The audiences behind a gate, of a trait that has this value.
    pub fn pass(&mut self, gate: &Gate, value: &Value) {
        let behind: &[usize] = match value {
            Value::Str(text) => gate.texts.get(text).map_or(&[], Vec::as_slice),
            Value::Bool(true) => &gate.truths,
            _ => &[],
        };
        for number in behind {
            self.judge(*number);
        }
    }

    /// The value of the slot of this number.
    pub fn slot(&mut self, number: usize) -> Value {
        let Some(slot) = &self.definitions.slots[number] else { return Value::Null };
        let mut due = Due(self.body.due_ms);
        let value = slot.keeping.value(slot.state(&mut self.body.slots), self.now_ms, &mut due, None);
        self.body.due_ms = due.0;
        value
    }

    /// The value of an input has become another: who is in the audiences that compare it.
    pub fn cross(&mut self, crossing: usize, old: &Value, new: &Value) {
        let definitions = self.definitions;
        definitions.crossings[crossing].crossings.shift(old, new, self);
    }

    /// Ask something of the profile; what it arms is armed.
    fn scoped<T>(&mut self, ask: impl FnOnce(&Scope<'_>) -> T) -> T {
        let body = &mut *self.body;
        let kept = Kept { entries: RefCell::new(&mut body.slots), slots: &self.definitions.slots };
        let person = Person {
            slots: &kept,
            computed: &body.computed,
            audiences: &body.audiences,
            declared: &body.declared,
            identifiers: &body.identifiers,
            first_seen_ms: body.first_seen_ms,
            last_seen_ms: body.last_seen_ms,
            events: body.events,
            due_ms: body.due_ms.into(),
        };
        let scope = Scope { fields: &[], at_ms: 0, now_ms: self.now_ms, person: Some(&person), item: None };
        let found = ask(&scope);
        let due_ms = person.due_ms.get();
        body.due_ms = due_ms;
        found
    }
}

impl Turns for Judging<'_> {
    fn turn(&mut self, audience: usize, enter: bool) {
        if let Some(name) = self.definitions.audience(audience) {
            self.enter(audience, name, enter);
        }
    }
}
