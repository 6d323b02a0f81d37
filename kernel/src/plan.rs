//! What is done with an event of one name (`onefold.language.stream.plan`): put into slots, then judged what that changed.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{self, AtomicU32};

use crate::body::Body;
use crate::definitions::{Definitions, Judging, Outcome};
use crate::entries::Entries;
use crate::expression::{Expression, Scope, Test};
use crate::keeping::{At, Bits, Change, Due, State};
use crate::value::Value;

/// What an event may turn out to have done.
pub enum Condition {
    Flag(usize),
    /// Of the branch of this number: it counts in this slot.
    Hit(usize, usize),
    /// One of these built-ins has changed: 1 for the first event's time, 2 for the latest one's.
    Seen(u8),
    /// Audiences were entered or left.
    Moved,
    /// There is something in the slot.
    Kept(usize),
}

/// Holds where one of these does; `None`: always.
pub type Guard = Option<Vec<Condition>>;

/// Counts that ask one field for equality: the slot of each text.
pub struct Branch {
    pub field: usize,
    pub slots: HashMap<Box<str>, usize>,
    /// Of slots whose value audiences compare with literals.
    pub crossings: HashMap<usize, usize>,
}

/// Putting the event into one slot.
pub struct Put {
    pub slot: usize,
    pub within_ms: Option<i64>,
    pub condition: Option<Test>,
    pub given: Option<Expression>,
    /// Of a sequence: the steps that every such event is, and those that it is on a condition.
    pub bits: Bits,
    pub steps: Vec<(Bits, Test)>,
    pub is_sequence: bool,
    /// Each event that counts in it makes its value one more.
    pub is_tally: bool,
    /// Set where its value may be another.
    pub flag: Option<usize>,
    /// Set where the count has come to one of these.
    pub edge: Option<(usize, Vec<i64>)>,
    pub crossing: Option<usize>,
}

/// Something to judge, where its guard holds.
pub enum Judgement {
    Definition {
        guard: Guard,
        /// What must be there for it to make a difference.
        there: Guard,
        number: usize,
        /// Of a trait with another value: the flag that is set, the audiences that it moves, the gates that are told.
        flag: Option<usize>,
        crossing: Option<usize>,
        gates: Vec<usize>,
    },
    /// Audiences of one guard, each with what must be there for it to make a difference.
    Audiences { guard: Guard, each: Vec<(Guard, usize)> },
    /// Audiences of those who were last seen long ago.
    Lapsing,
    /// The audiences of a trait's value; before, those of the value that it had, where this flag is set.
    Gate { guard: Guard, gate: usize, flag: Option<usize> },
}

/// All of it, in order.
pub struct Plan {
    /// Its own in this process.
    pub id: u32,
    pub branches: Vec<Branch>,
    pub puts: Vec<Put>,
    pub judgements: Vec<Judgement>,
    pub flags: usize,
    /// It may ask for the person's identifiers.
    pub asks_identifiers: bool,
    /// The slots that it may look into.
    pub slots: Vec<usize>,
}

/// The event.
pub struct Happened<'a> {
    pub fields: &'a [Value],
    pub at: At<'a>,
    pub seen: u8,
}

/// What has come of an event so far; kept to be used again.
#[derive(Default)]
pub struct Notes {
    flags: Vec<bool>,
    hits: Vec<Option<usize>>,
    /// Of each put, where its slot stands, if it is there.
    places: Vec<Option<usize>>,
    /// Values of gates' traits before they changed.
    before: Vec<(usize, Value)>,
}

impl Plan {
    /// A number that no other plan has.
    pub fn next_id() -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        NEXT.fetch_add(1, atomic::Ordering::Relaxed)
    }

    /// Put the event into the profile, of which the slots are open (`Definitions::open`), and judge.
    pub fn run(
        &self,
        definitions: &Definitions,
        (body, outcome): (&mut Body, &mut Outcome),
        event: &Happened<'_>,
        notes: &mut Notes,
    ) {
        outcome.changed.clear();
        outcome.moves.clear();
        notes.flags.clear();
        notes.flags.resize(self.flags, false);
        notes.hits.clear();
        notes.before.clear();
        if body.slots.is_empty() {
            body.slots = Entries::for_many(self.branches.len() + self.puts.len());
        }
        let judging = Judging { definitions, body, now_ms: event.at.now_ms, outcome };
        Running { event, notes, judging }.all(self);
    }
}

struct Running<'a, 'b> {
    event: &'a Happened<'a>,
    notes: &'a mut Notes,
    judging: Judging<'b>,
}

impl Running<'_, '_> {
    fn all(&mut self, plan: &Plan) {
        self.find(plan);
        plan.branches.iter().for_each(|branch| self.branch(branch));
        plan.puts.iter().enumerate().for_each(|(number, put)| self.put(number, put));
        plan.judgements.iter().for_each(|judgement| self.judge(judgement));
        if self.judging.outcome.moves.len() > 1 {
            self.judging.outcome.moves.sort_by_key(|(number, _)| *number);
        }
    }

    // --- slots ------------------------------------------------------------------------------------------------
    /// Find the slots of all puts before the first one: their memory, which is seldom near, comes while others' is
    /// waited for.
    fn find(&mut self, plan: &Plan) {
        let (slots, definitions) = (&self.judging.body.slots, self.judging.definitions);
        let places = &mut self.notes.places;
        places.clear();
        let mut behind = 0;
        for put in &plan.puts {
            let place = definitions.slots[put.slot].as_ref().and_then(|slot| slot.place_near(slots, behind));
            behind = place.map_or(behind, |place| place + 1);
            places.push(place);
        }
        let touched: usize =
            places.iter().flatten().map(|place| slots.at(*place).as_ref().map_or(0, State::touch)).sum();
        black_box(touched);
    }

    fn branch(&mut self, branch: &Branch) {
        let hit = match &self.event.fields[branch.field] {
            Value::Str(text) => branch.slots.get(text).copied(),
            _ => None,
        };
        self.notes.hits.push(hit);
        if let Some(slot) = hit {
            self.change(slot, None, (&Value::Null, 0));
            if let Some(crossing) = branch.crossings.get(&slot) {
                self.count_crosses(slot, *crossing);
            }
        }
    }

    fn put(&mut self, number: usize, put: &Put) {
        let event = self.event;
        let scope =
            Scope { fields: event.fields, at_ms: event.at.at_ms, now_ms: event.at.now_ms, person: None, item: None };
        let is_in = put.within_ms.is_none_or(|within_ms| event.at.at_ms > event.at.now_ms - within_ms);
        if !is_in || !put.condition.as_ref().is_none_or(|condition| condition.holds(&scope)) {
            return;
        }
        let steps = put.steps.iter().filter(|(_, condition)| condition.holds(&scope));
        let bits = steps.fold(put.bits, |bits, (bit, _)| bits | bit);
        if put.is_sequence && bits == 0 {
            return;
        }
        let given = put.given.as_ref().map(|given| given.value(&scope));
        let before = put.crossing.filter(|_| !put.is_tally).map(|_| self.judging.slot(put.slot));
        let place = self.notes.places[number];
        if self.change(put.slot, place, (given.as_deref().unwrap_or(&Value::Null), bits)) == Change::Some {
            self.then(put, before);
        }
    }

    /// Put the event into the slot, which may have to be made; `place`: where it stands, if that is known.
    fn change(&mut self, number: usize, place: Option<usize>, (given, bits): (&Value, Bits)) -> Change {
        let Judging { definitions, body, .. } = &mut self.judging;
        let Some(slot) = &definitions.slots[number] else { return Change::None };
        let mut due = Due(body.due_ms);
        let change = if let Some(place) = place.or_else(|| slot.place(&body.slots)) {
            let (_, state) = body.slots.at_mut(place);
            slot.keeping.put(state, given, bits.into(), self.event.at, &mut due)
        } else {
            let mut state = None;
            let change = slot.keeping.put(&mut state, given, bits.into(), self.event.at, &mut due);
            if state.is_some() {
                body.slots.push(slot.name, state);
            }
            change
        };
        body.due_ms = due.0;
        change
    }

    /// What follows where a slot's value may be another.
    fn then(&mut self, put: &Put, before: Option<Value>) {
        if let Some(flag) = put.flag {
            self.notes.flags[flag] = true;
        }
        if let Some((flag, edges)) = &put.edge {
            self.notes.flags[*flag] =
                matches!(self.judging.slot(put.slot), Value::Int(n) if edges.binary_search(&n).is_ok());
        }
        match (put.crossing, before) {
            (Some(crossing), Some(old)) => {
                let new = self.judging.slot(put.slot);
                self.judging.cross(crossing, &old, &new);
            }
            (Some(crossing), None) => self.count_crosses(put.slot, crossing),
            _ => {}
        }
    }

    /// A count is one more.
    fn count_crosses(&mut self, slot: usize, crossing: usize) {
        if let Value::Int(n) = self.judging.slot(slot)
            && self.judging.definitions.crossings[crossing].turns.binary_search(&n).is_ok()
        {
            self.judging.cross(crossing, &Value::Int(n - 1), &Value::Int(n));
        }
    }

    // --- judging ----------------------------------------------------------------------------------------------
    fn judge(&mut self, judgement: &Judgement) {
        match judgement {
            Judgement::Definition { guard, there, number, flag, crossing, gates } => {
                if self.holds(guard)
                    && self.holds(there)
                    && let Some(old) = self.judging.judge(*number)
                {
                    self.trait_changed(&old, (*flag, *crossing, gates));
                }
            }
            Judgement::Audiences { guard, each } => {
                if self.holds(guard) {
                    for (there, number) in each {
                        if self.holds(there) {
                            self.judging.judge(*number);
                        }
                    }
                }
            }
            Judgement::Lapsing => self.lapse(),
            Judgement::Gate { guard, gate, flag } => {
                if self.holds(guard) {
                    self.open_gate(*gate, *flag);
                }
            }
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        guard.as_ref().is_none_or(|any| any.iter().any(|condition| self.is_so(condition)))
    }

    fn is_so(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Flag(number) => self.notes.flags[*number],
            Condition::Hit(branch, slot) => self.notes.hits[*branch] == Some(*slot),
            Condition::Seen(bits) => self.event.seen & bits != 0,
            Condition::Moved => !self.judging.outcome.moves.is_empty(),
            Condition::Kept(slot) => {
                let slot = self.judging.definitions.slots[*slot].as_ref();
                slot.is_some_and(|slot| slot.place(&self.judging.body.slots).is_some())
            }
        }
    }

    fn trait_changed(&mut self, old: &Value, (flag, crossing, gates): (Option<usize>, Option<usize>, &[usize])) {
        if let Some(flag) = flag {
            self.notes.flags[flag] = true;
        }
        if let Some(crossing) = crossing {
            let new = self.judging.outcome.changed.last().map_or(Value::Null, |(_, value)| value.clone());
            self.judging.cross(crossing, old, &new);
        }
        self.notes.before.extend(gates.iter().map(|gate| (*gate, old.clone())));
    }

    /// Only who is in such an audience can move; whoever comes for the first time may have to wait for some.
    fn lapse(&mut self) {
        let definitions = self.judging.definitions;
        match self.event.seen {
            2 => {
                for number in &definitions.lapsing {
                    let name = definitions.audience(*number);
                    if name.is_some_and(|name| self.judging.body.audiences.place(name).is_some()) {
                        self.judging.judge(*number);
                    }
                }
            }
            3 => definitions.waiting.iter().for_each(|number| drop(self.judging.judge(*number))),
            _ => {}
        }
    }

    fn open_gate(&mut self, number: usize, flag: Option<usize>) {
        let definitions = self.judging.definitions;
        let Some(gate) = &definitions.gates[number] else { return };
        if flag.is_some_and(|flag| self.notes.flags[flag])
            && let Some(at) = self.notes.before.iter().position(|(each, _)| *each == number)
        {
            let (_, old) = self.notes.before.swap_remove(at);
            self.judging.pass(gate, &old);
        }
        let value = self.judging.body.computed.get(gate.name).cloned().unwrap_or(Value::Null);
        self.judging.pass(gate, &value);
    }
}
