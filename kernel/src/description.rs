//! Definitions and plans as the compiler describes them (`onefold.language.stream.described`), read into their own types.
//!
//! `Beyond` says that something in a description is not known here.

use std::collections::HashMap;

use crate::crossings::Crossings;
use crate::definitions::{Crossing, Definition, Definitions, Gate, Slot};
use crate::entries::Name;
use crate::expression::{Expression, Quantifier, Step, Test};
use crate::functions;
use crate::functions::dated::{Argument, Asked, Dated, InZone};
use crate::functions::dates::Part;
use crate::functions::patterns::Pattern;
use crate::keeping::description::Description;
use crate::keeping::{Bits, of};
use crate::numbers::{Op, Sign};
use crate::plan::{Branch, Condition, Guard, Judgement, Plan, Put};
use crate::value::Value;
use crate::zones::{know_all, zone};
use crate::{Beyond, Here};

// --- parts of a description -----------------------------------------------------------------------------------
fn list(value: &Value) -> Here<&[Value]> {
    if let Value::List(items) = value { Ok(items) } else { Err(Beyond) }
}

fn pairs(value: &Value) -> Here<&[(Box<str>, Value)]> {
    if let Value::Map(pairs) = value { Ok(pairs) } else { Err(Beyond) }
}

pub fn text(value: &Value) -> Here<&str> {
    if let Value::Str(text) = value { Ok(text) } else { Err(Beyond) }
}

fn int(value: &Value) -> Here<i64> {
    if let Value::Int(number) = value { Ok(*number) } else { Err(Beyond) }
}

pub fn place(value: &Value) -> Here<usize> {
    usize::try_from(int(value)?).map_err(|_| Beyond)
}

pub fn truth(value: &Value) -> Here<bool> {
    if let Value::Bool(truth) = value { Ok(*truth) } else { Err(Beyond) }
}

#[allow(clippy::cast_precision_loss)] // the nearest double, as where it is compared with one
fn float(value: &Value) -> Here<f64> {
    match value {
        Value::Int(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        _ => Err(Beyond),
    }
}

fn maybe<T>(value: &Value, read: impl Fn(&Value) -> Here<T>) -> Here<Option<T>> {
    if matches!(value, Value::Null) { Ok(None) } else { read(value).map(Some) }
}

pub fn each<T>(value: &Value, read: impl Fn(&Value) -> Here<T>) -> Here<Vec<T>> {
    list(value)?.iter().map(read).collect()
}

pub fn by_text<T>(value: &Value, read: impl Fn(&Value) -> Here<T>) -> Here<HashMap<Box<str>, T>> {
    pairs(value)?.iter().map(|(key, value)| Ok((key.clone(), read(value)?))).collect()
}

pub fn field<'a>(value: &'a Value, name: &str) -> Here<&'a Value> {
    pairs(value)?.iter().find(|(key, _)| **key == *name).map(|(_, found)| found).ok_or(Beyond)
}

fn name(value: &Value) -> Here<Name> {
    text(value).map(Name::of)
}

// --- expressions ----------------------------------------------------------------------------------------------
fn boxed(value: &Value) -> Here<Box<Expression>> {
    expression(value).map(Box::new)
}

/// `[kind, …]`.
pub fn expression(value: &Value) -> Here<Expression> {
    let (kind, parts) = list(value)?.split_first().ok_or(Beyond)?;
    Ok(match (text(kind)?, parts) {
        ("literal", [value]) => Expression::Literal(value.clone()),
        ("field", [number]) => Expression::Field(place(number)?),
        ("time", []) => Expression::Time,
        ("trait", [of]) => Expression::Trait(name(of)?),
        ("instant_trait", [of]) => Expression::InstantTrait(name(of)?),
        ("slot", [number, level]) => Expression::Slot(place(number)?, maybe(level, float)?),
        ("personal_slot", [number, zone, level]) => {
            Expression::Personal(place(number)?, place(zone)?, maybe(level, float)?)
        }
        ("first_seen", []) => Expression::FirstSeen,
        ("last_seen", []) => Expression::LastSeen,
        ("events", []) => Expression::Events,
        ("now", [ago_ms]) => Expression::Now(int(ago_ms)?),
        ("declared", [name, path]) => Expression::Declared(text(name)?.into(), steps(path)?),
        ("item", [path]) => Expression::Item(steps(path)?),
        ("arithmetic", [sign, left, right]) => {
            Expression::Arithmetic(Sign::of(text(sign)?).ok_or(Beyond)?, boxed(left)?, boxed(right)?)
        }
        ("negate", [part]) => Expression::Negate(boxed(part)?),
        ("case", [cases, otherwise]) => Expression::Case(each(cases, case)?, maybe(otherwise, boxed)?),
        ("instant", [part]) => Expression::Instant(boxed(part)?),
        ("coalesce", [parts]) => Expression::Coalesce(each(parts, expression)?),
        ("call", [function, parts]) => call(text(function)?, each(parts, expression)?)?,
        ("dated", [asked, moments, zone, agos, level]) => Expression::Dated(Box::new(Dated {
            asked: dated(list(asked)?)?,
            moments: each(moments, moment)?,
            zone: in_zone(zone)?,
            agos: each(agos, int)?,
            level: maybe(level, float)?,
        })),
        ("test", [part]) => Expression::Test(Box::new(test(part)?)),
        _ => return Err(Beyond),
    })
}

fn call(name: &str, parts: Vec<Expression>) -> Here<Expression> {
    let (function, least, most) = functions::of(name).ok_or(Beyond)?;
    let fits = parts.len() >= least && most.is_none_or(|most| parts.len() <= most);
    if fits { Ok(Expression::Call(function, parts)) } else { Err(Beyond) }
}

/// `[function, …]`: what is asked of moments.
fn dated(value: &[Value]) -> Here<Asked> {
    let (function, numbers) = value.split_first().ok_or(Beyond)?;
    Ok(match (text(function)?, numbers) {
        ("date_add", [duration_ms]) => Asked::Add(int(duration_ms)?),
        ("year", []) => Asked::Part(Part::Year),
        ("month", []) => Asked::Part(Part::Month),
        ("day", []) => Asked::Part(Part::Day),
        ("weekday", []) => Asked::Part(Part::Weekday),
        ("hour", []) => Asked::Part(Part::Hour),
        ("days_between", []) => Asked::DaysBetween,
        ("days_from", [sign, ago_ms]) => Asked::DaysFrom { sign: int(sign)?, ago_ms: int(ago_ms)? },
        ("elapsed", [unit_ms]) => Asked::Elapsed(int(unit_ms)?),
        ("years_since", []) => Asked::YearsSince,
        ("days_until_anniversary", []) => Asked::DaysUntilAnniversary,
        ("is_anniversary", []) => Asked::IsAnniversary,
        _ => return Err(Beyond),
    })
}

/// `[kind, expression]`.
fn moment(value: &Value) -> Here<Argument> {
    let [kind, part] = list(value)? else { return Err(Beyond) };
    match text(kind)? {
        "at" => expression(part).map(Argument::At),
        "written" => expression(part).map(Argument::Written),
        _ => Err(Beyond),
    }
}

/// The name of a zone, or the expression that gives it.
fn in_zone(value: &Value) -> Here<InZone> {
    match value {
        Value::Null => Ok(InZone::None),
        Value::Str(name) => zone(name).map(InZone::Fixed).ok_or(Beyond),
        _ if know_all() => expression(value).map(InZone::Named),
        _ => Err(Beyond),
    }
}

fn case(value: &Value) -> Here<(Test, Expression)> {
    match list(value)? {
        [condition, value] => Ok((test(condition)?, expression(value)?)),
        _ => Err(Beyond),
    }
}

fn steps(value: &Value) -> Here<Vec<Step>> {
    each(value, |step| match step {
        Value::Str(key) => Ok(Step::Key(key.clone())),
        _ => place(step).map(Step::Place),
    })
}

/// `[kind, …]`.
fn test(value: &Value) -> Here<Test> {
    let (kind, parts) = list(value)?.split_first().ok_or(Beyond)?;
    Ok(match (text(kind)?, parts) {
        ("never", []) => Test::Never,
        ("and", [parts]) => Test::And(each(parts, test)?),
        ("or", [parts]) => Test::Or(each(parts, test)?),
        ("not", [part]) => Test::Not(Box::new(test(part)?)),
        ("is", [part, wanted]) => Test::Is(expression(part)?, truth(wanted)?),
        ("exists", [part]) => Test::Exists(expression(part)?),
        ("against", [op, part, literal]) => Test::Against(operator(op)?, expression(part)?, literal.clone()),
        ("same", [left, right]) => Test::Same(expression(left)?, expression(right)?),
        ("order", [op, left, right]) => Test::Order(operator(op)?, expression(left)?, expression(right)?),
        ("before", [op, left, right]) => Test::Before(operator(op)?, expression(left)?, expression(right)?),
        ("moving", [op, part, ago_ms]) => Test::Moving(operator(op)?, expression(part)?, int(ago_ms)?),
        ("in", [part, options]) => Test::In(expression(part)?, list(options)?.to_vec()),
        ("quantified", [how, items, condition]) => {
            Test::Quantified(quantifier(how)?, expression(items)?, Box::new(test(condition)?))
        }
        ("in_audience", [of]) => Test::InAudience(name(of)?),
        ("matches", [part, pattern]) => Test::Matches(expression(part)?, Pattern::of(text(pattern)?)?),
        ("share", [salt, percent]) => Test::Share(text(salt)?.into(), float(percent)?),
        _ => return Err(Beyond),
    })
}

fn operator(value: &Value) -> Here<Op> {
    Op::of(text(value)?).ok_or(Beyond)
}

fn quantifier(value: &Value) -> Here<Quantifier> {
    Ok(match text(value)? {
        "any" => Quantifier::Any,
        "all" => Quantifier::All,
        "none" => Quantifier::None,
        _ => return Err(Beyond),
    })
}

// --- definitions ----------------------------------------------------------------------------------------------
/// All definitions; what is not known here of slots, definitions and gates is left out.
pub fn definitions(value: &Value) -> Here<Definitions> {
    let slots: Vec<Option<Slot>> = each(field(value, "slots")?, |each| maybe(each, slot).map(Option::flatten))?;
    let numbered = slots.iter().enumerate().filter_map(|(number, slot)| Some((slot.as_ref()?.name, number)));
    Ok(Definitions {
        numbers: numbered.collect(),
        slots,
        all: each(field(value, "definitions")?, |each| Ok(definition(each).ok()))?,
        looks: each(field(value, "looks")?, looks)?,
        gates: each(field(value, "gates")?, |each| maybe(each, gate))?,
        crossings: each(field(value, "crossings")?, crossing)?,
        lapsing: each(field(value, "lapsing")?, place)?,
        waiting: each(field(value, "waiting")?, place)?,
    })
}

fn slot(value: &Value) -> Here<Option<Slot>> {
    let [key, function, params] = list(value)? else { return Err(Beyond) };
    let name = name(key)?;
    let described = Description::new(text(function)?, pairs(params)?.to_vec());
    Ok(of(&described).map(|keeping| Slot::new(name, keeping)))
}

fn definition(value: &Value) -> Here<Definition> {
    let (kind, parts) = list(value)?.split_first().ok_or(Beyond)?;
    Ok(match (text(kind)?, parts) {
        ("trait", [called, value, is_instant]) => {
            Definition::Trait { name: name(called)?, value: expression(value)?, is_instant: truth(is_instant)? }
        }
        ("audience", [called, condition]) => Definition::Audience { name: name(called)?, condition: test(condition)? },
        _ => return Err(Beyond),
    })
}

fn looks(value: &Value) -> Here<(Vec<usize>, bool)> {
    match list(value)? {
        [slots, asks_identifiers] => Ok((each(slots, place)?, truth(asks_identifiers)?)),
        _ => Err(Beyond),
    }
}

fn gate(value: &Value) -> Here<Gate> {
    let [called, texts, truths] = list(value)? else { return Err(Beyond) };
    Ok(Gate {
        name: name(called)?,
        texts: by_text(texts, |numbers| each(numbers, place))?,
        truths: each(truths, place)?,
    })
}

fn crossing(value: &Value) -> Here<Crossing> {
    let [sides, equal, turns] = list(value)? else { return Err(Beyond) };
    let side = |value: &Value| match list(value)? {
        [op, literals, audiences] => Ok((operator(op)?, list(literals)?.to_vec(), each(audiences, place)?)),
        _ => Err(Beyond),
    };
    let crossings = Crossings::new(each(sides, side)?, by_text(equal, |audiences| each(audiences, place))?);
    Ok(Crossing { crossings, turns: sorted(turns)? })
}

fn sorted(value: &Value) -> Here<Vec<i64>> {
    let mut numbers = each(value, int)?;
    numbers.sort_unstable();
    Ok(numbers)
}

// --- plans ----------------------------------------------------------------------------------------------------
/// What is done with an event of one name, by these definitions. `Beyond` where it touches what these do not know.
pub fn plan(value: &Value, definitions: &Definitions) -> Here<Plan> {
    let plan = Plan {
        id: Plan::next_id(),
        branches: each(field(value, "branches")?, branch)?,
        puts: each(field(value, "puts")?, put)?,
        judgements: each(field(value, "judgements")?, judgement)?,
        flags: place(field(value, "flags")?)?,
        asks_identifiers: truth(field(value, "asks_identifiers")?)?,
        slots: each(field(value, "slots")?, place)?,
    };
    let is_known = plan.slots.iter().all(|number| is_there(&definitions.slots, *number))
        && plan.judgements.iter().all(|judgement| knows(definitions, judgement));
    if is_known { Ok(plan) } else { Err(Beyond) }
}

fn is_there<T>(all: &[Option<T>], number: usize) -> bool {
    all.get(number).is_some_and(Option::is_some)
}

fn knows(definitions: &Definitions, judgement: &Judgement) -> bool {
    let all = |numbers: &[usize]| numbers.iter().all(|number| is_there(&definitions.all, *number));
    match judgement {
        Judgement::Definition { number, .. } => is_there(&definitions.all, *number),
        Judgement::Audiences { each, .. } => each.iter().all(|(_, number)| is_there(&definitions.all, *number)),
        Judgement::Lapsing => all(&definitions.lapsing) && all(&definitions.waiting),
        Judgement::Gate { gate, .. } => {
            let gate = definitions.gates.get(*gate).and_then(Option::as_ref);
            gate.is_some_and(|gate| all(&gate.truths) && gate.texts.values().all(|numbers| all(numbers)))
        }
    }
}

fn branch(value: &Value) -> Here<Branch> {
    let [field, slots, crossings] = list(value)? else { return Err(Beyond) };
    let pair = |value: &Value| match list(value)? {
        [slot, crossing] => Ok((place(slot)?, place(crossing)?)),
        _ => Err(Beyond),
    };
    let crossings = each(crossings, pair)?.into_iter().collect();
    Ok(Branch { field: place(field)?, slots: by_text(slots, place)?, crossings })
}

fn put(value: &Value) -> Here<Put> {
    let of = |name| field(value, name);
    Ok(Put {
        slot: place(of("slot")?)?,
        within_ms: maybe(of("within_ms")?, int)?,
        condition: maybe(of("condition")?, test)?,
        given: maybe(of("given")?, expression)?,
        bits: bits(of("bits")?)?,
        steps: each(of("steps")?, conditional)?,
        is_sequence: truth(of("is_sequence")?)?,
        is_tally: truth(of("is_tally")?)?,
        flag: maybe(of("flag")?, place)?,
        edge: maybe(of("edge")?, edge)?,
        crossing: maybe(of("crossing")?, place)?,
    })
}

fn bits(value: &Value) -> Here<Bits> {
    Bits::try_from(int(value)?).map_err(|_| Beyond)
}

fn conditional(value: &Value) -> Here<(Bits, Test)> {
    match list(value)? {
        [bit, condition] => Ok((bits(bit)?, test(condition)?)),
        _ => Err(Beyond),
    }
}

fn edge(value: &Value) -> Here<(usize, Vec<i64>)> {
    match list(value)? {
        [flag, edges] => Ok((place(flag)?, sorted(edges)?)),
        _ => Err(Beyond),
    }
}

fn judgement(value: &Value) -> Here<Judgement> {
    let (kind, parts) = list(value)?.split_first().ok_or(Beyond)?;
    Ok(match (text(kind)?, parts) {
        ("definition", [guarded, there, number, flag, crossing, gates]) => Judgement::Definition {
            guard: guard(guarded)?,
            there: guard(there)?,
            number: place(number)?,
            flag: maybe(flag, place)?,
            crossing: maybe(crossing, place)?,
            gates: each(gates, place)?,
        },
        ("audiences", [guarded, behind]) => {
            Judgement::Audiences { guard: guard(guarded)?, each: each(behind, audience)? }
        }
        ("lapsing", []) => Judgement::Lapsing,
        ("gate", [guarded, gate, flag]) => {
            Judgement::Gate { guard: guard(guarded)?, gate: place(gate)?, flag: maybe(flag, place)? }
        }
        _ => return Err(Beyond),
    })
}

/// `[there, number]`.
fn audience(value: &Value) -> Here<(Guard, usize)> {
    match list(value)? {
        [there, number] => Ok((guard(there)?, place(number)?)),
        _ => Err(Beyond),
    }
}

fn guard(value: &Value) -> Here<Guard> {
    maybe(value, |any| each(any, condition))
}

fn condition(value: &Value) -> Here<Condition> {
    let (kind, parts) = list(value)?.split_first().ok_or(Beyond)?;
    Ok(match (text(kind)?, parts) {
        ("flag", [number]) => Condition::Flag(place(number)?),
        ("hit", [branch, slot]) => Condition::Hit(place(branch)?, place(slot)?),
        ("seen", [bits]) => Condition::Seen(u8::try_from(int(bits)?).map_err(|_| Beyond)?),
        ("moved", []) => Condition::Moved,
        ("kept", [slot]) => Condition::Kept(place(slot)?),
        _ => return Err(Beyond),
    })
}
