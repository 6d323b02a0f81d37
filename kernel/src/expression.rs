//! Expressions over events and profiles, with the meaning that `onefold.language.stream.source` gives them.

use std::borrow::Cow;
use std::cell::Cell;

use crate::declared::Declared;
use crate::entries::{Entries, Name};
use crate::functions::Function;
use crate::functions::dated::Dated;
use crate::functions::patterns::Pattern;
use crate::instants;
use crate::keeping::Due;
use crate::keeping::calendars::zone_of;
use crate::keeping::monoid::Asked;
use crate::numbers::{Op, Sign, arithmetic, negate, order, same};
use crate::shares;
use crate::value::Value;
use crate::zones::Zone;

/// Any value.
#[derive(Debug)]
pub enum Expression {
    Literal(Value),
    /// Of the event: the field of this number among those that were read.
    Field(usize),
    /// The event's own instant.
    Time,
    Trait(Name),
    /// A trait whose values are instants, as milliseconds.
    InstantTrait(Name),
    /// What is kept in the slot of this number; and the number that it is only compared with, if so.
    Slot(usize, Option<f64>),
    /// The same of a window in the person's own time zone; and the slot that says which that is.
    Personal(usize, usize, Option<f64>),
    FirstSeen,
    LastSeen,
    Events,
    /// So many milliseconds before now.
    Now(i64),
    Declared(Box<str>, Vec<Step>),
    /// Of the item that a condition is about.
    Item(Vec<Step>),
    Arithmetic(Sign, Box<Expression>, Box<Expression>),
    Negate(Box<Expression>),
    Case(Vec<(Test, Expression)>, Option<Box<Expression>>),
    /// The instant that a string names.
    Instant(Box<Expression>),
    /// The first of these that is there.
    Coalesce(Vec<Expression>),
    /// A function of these.
    Call(Function, Vec<Expression>),
    /// One of the calendar.
    Dated(Box<Dated>),
    Test(Box<Test>),
}

/// A step into an object or a list.
#[derive(Debug)]
pub enum Step {
    Key(Box<str>),
    Place(usize),
}

/// A real boolean.
#[derive(Debug)]
pub enum Test {
    Never,
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Is(Expression, bool),
    Exists(Expression),
    /// Against a number or a string that is known.
    Against(Op, Expression, Value),
    Same(Expression, Expression),
    Order(Op, Expression, Expression),
    /// Of two instants.
    Before(Op, Expression, Expression),
    /// Of an instant and so many milliseconds before now.
    Moving(Op, Expression, i64),
    In(Expression, Vec<Value>),
    Quantified(Quantifier, Expression, Box<Test>),
    InAudience(Name),
    /// Of all people so many hundredths, by salt.
    Share(Box<str>, f64),
    /// The pattern is in the text.
    Matches(Expression, Pattern),
}

/// How many of a list's items have to satisfy a condition.
#[derive(Clone, Copy, Debug)]
pub enum Quantifier {
    Any,
    All,
    None,
}

/// What profiles keep, for expressions that ask for it.
pub trait Slots {
    /// The value of the slot of this number at this instant; arms `due` where it moves with time.
    fn value(&self, slot: usize, level: Option<f64>, now_ms: i64, due: &mut Due) -> Value;

    /// The same of a window in this time zone of the person; `None`: they name none.
    fn value_in(&self, zone: Option<&'static Zone>, slot: usize, asked: Asked<'_>) -> Value {
        let (_, Asked { now_ms, due, level }) = (zone, asked);
        self.value(slot, level, now_ms, due)
    }
}

/// The parts of a profile that expressions read.
pub struct Person<'a> {
    pub slots: &'a dyn Slots,
    pub computed: &'a Entries<Value>,
    pub audiences: &'a Entries<i64>,
    pub declared: &'a Declared,
    pub identifiers: &'a [(Box<str>, i64)],
    pub first_seen_ms: i64,
    pub last_seen_ms: i64,
    pub events: i64,
    pub due_ms: Cell<i64>,
}

/// What names in an expression stand for.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub fields: &'a [Value],
    pub at_ms: i64,
    pub now_ms: i64,
    /// Absent in the scope of an event.
    pub person: Option<&'a Person<'a>>,
    pub item: Option<&'a Value>,
}

impl Expression {
    /// Its value, `Null` for missing.
    pub fn value<'a>(&'a self, scope: &Scope<'a>) -> Cow<'a, Value> {
        match self {
            Expression::Literal(value) => Cow::Borrowed(value),
            Expression::Field(number) => Cow::Borrowed(&scope.fields[*number]),
            Expression::Time => int(scope.at_ms),
            Expression::Item(path) => borrowed(scope.item.and_then(|item| dig(item, path))),
            Expression::Now(ago_ms) => int(scope.now_ms - ago_ms),
            Expression::Arithmetic(sign, left, right) => {
                Cow::Owned(arithmetic(*sign, &left.value(scope), &right.value(scope)))
            }
            Expression::Negate(part) => Cow::Owned(negate(&part.value(scope))),
            Expression::Case(cases, otherwise) => case(cases, otherwise.as_deref(), scope),
            Expression::Instant(part) => Cow::Owned(instant(&part.value(scope))),
            Expression::Coalesce(parts) => coalesce(parts, scope),
            Expression::Call(function, parts) => Cow::Owned(call(*function, parts, scope)),
            Expression::Dated(call) => Cow::Owned(call.value(scope)),
            Expression::Test(test) => Cow::Owned(Value::Bool(test.holds(scope))),
            _ => scope.person.map_or(Cow::Owned(Value::Null), |person| self.of_person(person, scope)),
        }
    }

    fn of_person<'a>(&'a self, person: &'a Person<'a>, scope: &Scope<'a>) -> Cow<'a, Value> {
        match self {
            Expression::Trait(name) => borrowed(person.computed.get(*name)),
            Expression::InstantTrait(name) => match person.computed.get(*name) {
                Some(Value::Instant(at_ms)) => int(*at_ms),
                _ => Cow::Owned(Value::Null),
            },
            Expression::Slot(number, level) => {
                Cow::Owned(person.armed(|due| person.slots.value(*number, *level, scope.now_ms, due)))
            }
            Expression::Personal(slot, zone_slot, level) => {
                let zone = person.zone(*zone_slot, scope.now_ms);
                let value = |due: &mut Due| {
                    person.slots.value_in(zone, *slot, Asked { now_ms: scope.now_ms, due, level: *level })
                };
                Cow::Owned(person.armed(value))
            }
            Expression::FirstSeen => int(person.first_seen_ms),
            Expression::LastSeen => int(person.last_seen_ms),
            Expression::Events => int(person.events),
            Expression::Declared(name, path) => borrowed(person.declared.get(name).and_then(|said| dig(said, path))),
            _ => Cow::Owned(Value::Null),
        }
    }
}

impl Person<'_> {
    fn armed<T>(&self, what: impl FnOnce(&mut Due) -> T) -> T {
        let mut due = Due(self.due_ms.get());
        let found = what(&mut due);
        self.due_ms.set(due.0);
        found
    }

    /// The time zone that the person names.
    fn zone(&self, slot: usize, now_ms: i64) -> Option<&'static Zone> {
        let latest = self.armed(|due| self.slots.value(slot, None, now_ms, due));
        zone_of(self.declared.get("timezone"), Some(&latest))
    }

    /// It is to be woken no later than this.
    pub fn wake_by(&self, at_ms: i64) {
        self.due_ms.set(self.due_ms.get().min(at_ms));
    }
}

fn int<'a>(number: i64) -> Cow<'a, Value> {
    Cow::Owned(Value::Int(number))
}

fn borrowed(value: Option<&Value>) -> Cow<'_, Value> {
    value.map_or(Cow::Owned(Value::Null), Cow::Borrowed)
}

fn case<'a>(cases: &'a [(Test, Expression)], otherwise: Option<&'a Expression>, scope: &Scope<'a>) -> Cow<'a, Value> {
    let found = cases.iter().find(|(condition, _)| condition.holds(scope)).map(|(_, value)| value);
    found.or(otherwise).map_or(Cow::Owned(Value::Null), |value| value.value(scope))
}

fn coalesce<'a>(parts: &'a [Expression], scope: &Scope<'a>) -> Cow<'a, Value> {
    let mut found = parts.iter().map(|part| part.value(scope));
    found.find(|value| !matches!(**value, Value::Null)).unwrap_or(Cow::Owned(Value::Null))
}

/// Most functions have few arguments, for which nothing is allocated.
fn call<'a>(function: Function, parts: &'a [Expression], scope: &Scope<'a>) -> Value {
    const FEW: usize = 4;
    if parts.len() > FEW {
        return function(&parts.iter().map(|part| part.value(scope)).collect::<Vec<_>>());
    }
    let given: [_; FEW] =
        std::array::from_fn(|place| parts.get(place).map_or(Cow::Owned(Value::Null), |part| part.value(scope)));
    function(&given[..parts.len()])
}

fn instant(value: &Value) -> Value {
    match value {
        Value::Str(text) => instants::parse(text).map_or(Value::Null, Value::Int),
        _ => Value::Null,
    }
}

/// The value at a path into nested objects and lists.
fn dig<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match (value, step) {
        (Value::Map(pairs), Step::Key(name)) => pairs.iter().find(|(key, _)| key == name).map(|(_, found)| found),
        (Value::List(items), Step::Place(place)) => items.get(*place),
        _ => None,
    })
}

impl Test {
    /// Whether it does.
    pub fn holds<'a>(&'a self, scope: &Scope<'a>) -> bool {
        match self {
            Test::Never => false,
            Test::And(parts) => parts.iter().all(|part| part.holds(scope)),
            Test::Or(parts) => parts.iter().any(|part| part.holds(scope)),
            Test::Not(part) => !part.holds(scope),
            Test::Is(part, truth) => matches!(*part.value(scope), Value::Bool(found) if found == *truth),
            Test::Exists(part) => !matches!(*part.value(scope), Value::Null),
            Test::Against(op, part, literal) => op.holds(order(&part.value(scope), literal)),
            Test::Same(left, right) => same(&left.value(scope), &right.value(scope)),
            Test::Order(op, left, right) => op.holds(order(&left.value(scope), &right.value(scope))),
            Test::Before(op, left, right) => {
                let (left, right) = (left.value(scope), right.value(scope));
                op.holds(order(&left, &right))
            }
            Test::Moving(op, part, ago_ms) => moving(*op, &part.value(scope), *ago_ms, scope),
            Test::In(part, options) => {
                let value = part.value(scope);
                options.iter().any(|option| same(&value, option))
            }
            Test::Quantified(quantifier, items, condition) => quantified(*quantifier, items, condition, scope),
            Test::InAudience(name) => scope.person.is_some_and(|person| person.audiences.get(*name).is_some()),
            Test::Matches(part, pattern) => {
                matches!(&*part.value(scope), Value::Str(text) if pattern.is_in(text))
            }
            Test::Share(salt, percent) => {
                scope.person.is_some_and(|person| shares::in_share(person.identifiers, salt, *percent))
            }
        }
    }
}

/// Compare an instant with so long ago, and wake the profile when the answer can next change.
fn moving(op: Op, instant: &Value, ago_ms: i64, scope: &Scope<'_>) -> bool {
    let Value::Int(at_ms) = instant else { return op == Op::NotEqual };
    let turn = at_ms.saturating_add(ago_ms);
    let due_ms = if turn > scope.now_ms { turn } else { turn.saturating_add(1) };
    if let Some(person) = scope.person
        && due_ms > scope.now_ms
    {
        person.armed(|due| due.by(due_ms));
    }
    op.holds(Some(at_ms.cmp(&(scope.now_ms - ago_ms))))
}

fn quantified(quantifier: Quantifier, items: &Expression, condition: &Test, scope: &Scope<'_>) -> bool {
    let value = items.value(scope);
    let Value::List(items) = &*value else { return matches!(quantifier, Quantifier::None) };
    let satisfies = |item| condition.holds(&Scope { item: Some(item), ..*scope });
    match quantifier {
        Quantifier::Any => items.iter().any(satisfies),
        Quantifier::All => items.iter().all(satisfies),
        Quantifier::None => !items.iter().any(satisfies),
    }
}
