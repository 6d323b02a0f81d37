//! Sequences: who did one thing after another, in time, with nothing unwanted between
//! (`onefold.language.keeping.sequences`, whose state this is, and whose every step it takes).

use xxhash_rust::xxh3::xxh3_64;

use super::description::Description;
use super::monoid::Kept;
use super::records::{BIAS, Record, Records};
use super::walks::{Events, Front, NEVER, Plan, Shift, behind, shift};
use super::{At, Bits, Change, Due, Expiry, Keeping, NEVER_MS, State};
use crate::msgpack::{Reader, write_bytes, write_int, write_list, write_nil};
use crate::texts::text_of;
use crate::value::Value;
use crate::{Beyond, Here};

const EVENTS_MAX: usize = 256;
/// Records go a quarter at a time, so that most events need not let any go.
const TOO_MANY: usize = EVENTS_MAX + EVENTS_MAX / 4;

/// What one person has done of a sequence.
#[derive(Clone, Debug, Default)]
pub struct Course {
    records: Records,
    /// How many completions have left the records.
    settled: i64,
    /// How many they hold.
    live: i64,
    /// What is left of the records that had to go.
    past: Option<Front>,
    /// How far a walk over the records has come already.
    front: Option<Front>,
}

impl Kept for Course {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 5);
        write_bytes(out, self.records.bytes());
        write_int(out, self.settled);
        write_int(out, self.live);
        write_front(out, self.past.as_deref());
        write_front(out, self.front.as_deref());
    }

    fn touch(&self) -> usize {
        let of_front = self.front.as_ref().map_or(0, |front| usize::from(front[0] == NEVER));
        of_front + self.records.bytes().last().map_or(0, |flag| usize::from(*flag))
    }
}

impl Course {
    fn read(stored: &mut Reader<'_>, width: usize) -> Here<Course> {
        if stored.list()? != 5 {
            return Err(Beyond);
        }
        Ok(Course {
            records: Records::stored(stored.bytes()?).ok_or(Beyond)?,
            settled: stored.int()?,
            live: stored.int()?,
            past: read_front(stored, width)?,
            front: read_front(stored, width)?,
        })
    }

    fn has_completed(&self) -> bool {
        self.settled != 0 || self.live != 0
    }

    /// These records complete the sequence or do not; true where one did not say so yet.
    fn mark(&mut self, flags: impl IntoIterator<Item = (usize, bool)>) -> bool {
        let mut changed = false;
        for (place, flag) in flags {
            if self.records.flag(place) != flag {
                self.records.set_flag(place, flag);
                self.live += if flag { 1 } else { -1 };
                changed = true;
            }
        }
        changed
    }
}

fn write_front(out: &mut Vec<u8>, front: Option<&[i64]>) {
    let Some(numbers) = front else { return write_nil(out) };
    write_list(out, numbers.len());
    for number in numbers {
        write_int(out, *number);
    }
}

fn read_front(stored: &mut Reader<'_>, width: usize) -> Here<Option<Front>> {
    if stored.peek()? == 0xc0 {
        return stored.nil().map(|()| None);
    }
    if stored.list()? != width {
        return Err(Beyond);
    }
    let numbers: Front = (0..width).map(|_| stored.int()).collect::<Here<_>>()?;
    let are_times = numbers.iter().all(|number| (0..=i64::MAX / 4 * 3).contains(number));
    if are_times && numbers[1] <= 0xff { Ok(Some(numbers)) } else { Err(Beyond) }
}

/// What an event needs to know of those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Several steps: the state keeps a front, from which each event goes on.
    Carried,
    /// Several steps with a value that must be the same: few events have that of one before.
    Alike,
    /// One step, and what must not come after it: each event of that step completes it until then.
    Lone,
    /// The same, with a value that must be the same.
    LoneAlike,
}

/// How the state of one sequence is kept.
pub struct Chain {
    plan: Plan,
    kind: Kind,
    during_ms: Option<i64>,
    /// Somebody asks how often it was completed.
    counted: bool,
    /// This value is how often, and not only whether it ever was.
    counts: bool,
    last: Bits,
    silent: Bits,
}

/// How a `sequence` or a `sequence_count` is kept; `None`: it is neither, or has more steps than bits.
///
/// `steps`: of each, the most time after the one before or nothing, and whether it is negated. `same`: all events of a
/// chain have the same value. `within_ms`, `during_ms`: as in `nodes.Sequence`. `counted`: somebody asks of this slot
/// how often it was completed.
#[must_use]
pub fn of(described: &Description) -> Option<Box<dyn Keeping>> {
    let counts = match described.function.as_str() {
        "sequence" => false,
        "sequence_count" => true,
        _ => return None,
    };
    let Value::List(steps) = described.get("steps") else { return None };
    let steps: Vec<_> = steps.iter().map(step).collect::<Option<_>>()?;
    let plan = Plan::of(&steps, described.int("within_ms"))?;
    let kind = match (plan.stages.len() == 1, described.is("same")) {
        (false, false) => Kind::Carried,
        (false, true) => Kind::Alike,
        (true, false) => Kind::Lone,
        (true, true) => Kind::LoneAlike,
    };
    let counted = counts || described.is("counted");
    let (last, silent, during_ms) = (plan.last(), plan.silent, described.int("during_ms"));
    Some(Box::new(Chain { plan, kind, during_ms, counted, counts, last, silent }))
}

fn step(described: &Value) -> Option<(Option<i64>, bool)> {
    match described {
        Value::List(parts) => match parts.as_slice() {
            [Value::Null, Value::Bool(negated)] => Some((None, *negated)),
            [Value::Int(within_ms), Value::Bool(negated)] => Some((Some(*within_ms), *negated)),
            _ => None,
        },
        _ => None,
    }
}

impl Chain {
    fn carries(&self) -> bool {
        self.kind == Kind::Carried
    }

    fn is_alike(&self) -> bool {
        matches!(self.kind, Kind::Alike | Kind::LoneAlike)
    }

    /// An event that no other came before; true where that may have changed the value.
    fn begin(&self, record: Record) -> (Course, bool) {
        let mut course = Course::default();
        if self.kind == Kind::Lone {
            let changed = self.take(&mut course, record);
            return (course, changed);
        }
        let completes = self.kind == Kind::LoneAlike && record.bits & self.last != 0;
        course.live = completes.into();
        course.records.append(record, completes);
        if self.carries() {
            let mut front = self.plan.start();
            (front[0], front[1]) = (record.at, record.bits.into());
            course.front = Some(front);
        }
        (course, completes)
    }

    /// Take an event; true where that may have changed the value.
    fn take(&self, course: &mut Course, record: Record) -> bool {
        let (kind, at) = (self.kind, record.at);
        let late = if course.records.is_empty() { course.past.is_some() } else { at < course.records.latest() };
        let changed = match kind {
            Kind::Lone if !late => self.append_lone(course, record),
            Kind::Alike if !late && record.bits & self.silent == 0 => self.append_alike(course, record),
            _ => match self.take_any(course, record) {
                Some(changed) => changed,
                None => return false,
            },
        };
        if course.records.len() > TOO_MANY {
            self.evict(course);
            return true;
        }
        changed
    }

    /// `None`: it is older than what had to go.
    fn take_any(&self, course: &mut Course, record: Record) -> Option<bool> {
        if course.past.as_ref().is_some_and(|past| record.at <= past[0]) {
            return None;
        }
        if let Some(front) = &mut course.front
            && record.at >= front[0]
            && record.bits & self.silent == 0
        {
            let completes = self.plan.advance(front, record.at, record.bits);
            return Some(self.add(course, record, completes));
        }
        Some(if record.at >= course.records.latest() {
            self.append(course, record)
        } else {
            self.insert(course, record)
        })
    }

    /// Add it after all others; true where that may be another value.
    fn add(&self, course: &mut Course, record: Record, completes: bool) -> bool {
        course.records.append(record, completes);
        let changed = completes && (self.counted || !course.has_completed());
        course.live += i64::from(completes);
        changed
    }

    fn append_lone(&self, course: &mut Course, record: Record) -> bool {
        let broken = record.bits & self.silent != 0 && course.live != 0 && self.break_before(course, record, None);
        self.add(course, record, record.bits & self.last != 0) || broken
    }

    fn append_alike(&self, course: &mut Course, record: Record) -> bool {
        let completes = record.bits & self.last != 0 && self.completes_alike(course, record);
        self.add(course, record, completes)
    }

    /// An event that no other is later than.
    fn append(&self, course: &mut Course, record: Record) -> bool {
        let broken = record.bits & self.silent != 0 && course.live > 0 && self.break_before(course, record, None);
        let completes = if self.carries() {
            let mut front = course.front.take().unwrap_or_else(|| self.front(course));
            let completes = self.plan.advance(&mut front, record.at, record.bits);
            course.front = Some(front);
            completes
        } else {
            record.bits & self.last != 0 && self.completes_alike(course, record)
        };
        self.add(course, record, completes) || broken
    }

    fn gone(&self, course: &Course) -> Front {
        course.past.clone().unwrap_or_else(|| self.plan.start())
    }

    /// The front after all records.
    fn front(&self, course: &Course) -> Front {
        let (gone, records) = (self.gone(course), &course.records);
        if records.is_empty() {
            return gone;
        }
        let first = records.first_of_instant(records.len() - 1);
        let mut front = behind(&self.plan, records, first, &gone);
        front[0] = records.latest();
        front[1] = (first..records.len()).fold(front[1], |bits, place| bits | i64::from(records.bits(place)));
        front
    }

    /// Whether an event that no other is later than completes a chain among those with its value.
    fn completes_alike(&self, course: &Course, record: Record) -> bool {
        if self.plan.stages.len() == 1 {
            return true;
        }
        let alike = course.records.alike(record.same);
        if alike.len() == 0 {
            return false;
        }
        let front = behind(&self.plan, &alike, alike.before(record.at), &self.gone(course));
        self.plan.completes(&front, record.at)
    }

    /// A late event, which may complete a chain, let later ones do so, or keep them from it: true where it does.
    fn insert(&self, course: &mut Course, record: Record) -> bool {
        let place = course.records.after(record.at);
        course.records.insert(place, record);
        let (first, moved) = if self.is_alike() {
            let alike = course.records.alike(record.same);
            let (first, mut moved) = self.walk_on(course, &alike, alike.number(place).unwrap_or_default());
            moved.done.iter_mut().for_each(|(number, _)| *number = alike.place(*number));
            (alike.place(first), moved)
        } else {
            self.walk_on(course, &course.records, place)
        };
        let mut changed = course.mark(moved.done);
        if record.bits & self.silent != 0 && course.live != 0 {
            changed |= self.break_before(course, record, Some(first));
        }
        if moved.front.is_some() && self.carries() {
            course.front = moved.front;
        }
        changed
    }

    /// The first event of the instant of one that has come among these, and what that changes for those behind.
    fn walk_on(&self, course: &Course, events: &impl Events, new: usize) -> (usize, Shift) {
        let first = events.first_of_instant(new);
        let before = behind(&self.plan, events, first, &self.gone(course));
        let mut moved = shift(&self.plan, events, (before.clone(), before), (first, Some(new)));
        moved.done.retain(|(number, _)| events.bits(*number) & self.last != 0);
        moved.done.iter_mut().for_each(|(number, yes)| *yes &= !self.is_broken(events, *number));
        (first, moved)
    }

    /// Whether an event that must not comes too soon after this one.
    fn is_broken(&self, events: &impl Events, place: usize) -> bool {
        if self.silent == 0 {
            return false;
        }
        let at = events.at(place);
        let unwanted = |later: &usize| events.bits(*later) & self.silent != 0 && events.at(*later) > at;
        (place + 1..events.len()).find(unwanted).is_some_and(|later| events.at(later) < at + self.plan.silent_ms)
    }

    /// An event that must not come after a chain has come: those that it comes too soon after are not completed.
    ///
    /// They are among the records before this number, or among all. True where there are any.
    fn break_before(&self, course: &mut Course, record: Record, until: Option<usize>) -> bool {
        let since = record.at - self.plan.silent_ms;
        let records = &course.records;
        let flagged = records.flagged(until.unwrap_or(records.len())).take_while(|place| records.at(*place) > since);
        let broken = flagged.filter(|place| records.at(*place) < record.at && records.same(*place) == record.same);
        let broken: Vec<_> = broken.map(|place| (place, false)).collect();
        course.mark(broken)
    }

    /// More than are kept: the oldest go. What they completed is settled; chains may go on from where they were.
    fn evict(&self, course: &mut Course) {
        let over = course.records.len() - EVENTS_MAX;
        let gone = course.records.split_first(over);
        let mut front = self.gone(course);
        if !self.is_alike() && self.during_ms.is_none() {
            front = behind(&self.plan, &gone, over, &front);
        }
        (front[0], front[1]) = (gone.latest(), 0);
        course.past = Some(front);
        if self.during_ms.is_none() {
            course.settled += gone.completed();
        }
        course.live -= gone.completed();
    }

    /// Drop so many of the oldest events, of which none has an instant in common with one that stays.
    fn forget(&self, course: &mut Course, gone: usize) {
        let before = behind(&self.plan, &course.records, gone, &self.gone(course));
        course.records.split_first(gone);
        course.live = course.records.completed();
        if course.records.is_empty() {
            course.front = None;
            return;
        }
        let events = &course.records;
        let mut moved = shift(&self.plan, events, (before, self.plan.start()), (0, None));
        moved.done.retain(|(number, _)| events.bits(*number) & self.last != 0);
        moved.done.iter_mut().for_each(|(number, yes)| *yes &= !self.is_broken(events, *number));
        course.mark(moved.done);
        if moved.front.is_some() && self.carries() {
            course.front = moved.front;
        }
    }

    /// How often it was completed; arms for when the next negated step's time is over.
    fn count(&self, course: &Course, now_ms: i64, due: &mut Due) -> i64 {
        let mut done = course.settled + course.live;
        if self.silent == 0 || course.live == 0 {
            return done;
        }
        let (records, began) = (&course.records, now_ms - self.plan.silent_ms + BIAS);
        for at in records.flagged(records.len()).map(|place| records.at(place)).take_while(|at| *at > began) {
            done -= 1;
            due.by(at - BIAS + self.plan.silent_ms);
        }
        done
    }

    /// Whether it was ever completed; arms for when it first will have been.
    fn happened(&self, course: &Course, now_ms: i64, due: &mut Due) -> bool {
        if self.silent == 0 || course.settled != 0 || course.live == 0 {
            return course.settled + course.live != 0;
        }
        let Some(first) = (0..course.records.len()).find(|place| course.records.flag(*place)) else { return false };
        let over_ms = course.records.at(first) - BIAS + self.plan.silent_ms;
        if over_ms > now_ms {
            due.by(over_ms);
        }
        over_ms <= now_ms
    }
}

/// What stands for a value that must be the same in all steps; `None` for a list, an object or nothing.
#[must_use]
pub fn same_key(value: &Value) -> Option<u64> {
    let Value::Str(text) = value else { return text_of(value).map(|text| xxh3_64(text.as_bytes())) };
    let mut short = [b's'; 64];
    if let Some(rest) = short.get_mut(1..=text.len()) {
        rest.copy_from_slice(text.as_bytes());
        return Some(xxh3_64(&short[..=text.len()]));
    }
    Some(xxh3_64(format!("s{text}").as_bytes()))
}

impl Keeping for Chain {
    fn read(&self, stored: &mut Reader<'_>) -> Here<State> {
        Course::read(stored, self.plan.width()).map(Kept::into_state)
    }

    fn put(&self, slot: &mut Option<State>, given: &Value, bits: u16, event: At<'_>, due: &mut Due) -> Change {
        let same = if self.is_alike() { same_key(given) } else { Some(0) };
        let Some(same) = same else { return Change::None };
        if let Some(during_ms) = self.during_ms {
            due.by(event.at_ms + during_ms);
        }
        let record = Record { at: event.at_ms + BIAS, same, bits: bits.to_le_bytes()[0] };
        let Some(state) = slot else {
            let (course, completes) = self.begin(record);
            *slot = Some(course.into_state());
            return Change::of(completes);
        };
        Change::of(Course::of(state).is_some_and(|course| self.take(course, record)))
    }

    fn value(&self, slot: Option<&mut State>, now_ms: i64, due: &mut Due, _level: Option<f64>) -> Value {
        match slot.and_then(Course::of) {
            Some(course) if self.counts => Value::Int(self.count(course, now_ms, due)),
            Some(course) => Value::Bool(self.happened(course, now_ms, due)),
            None if self.counts => Value::Int(0),
            None => Value::Bool(false),
        }
    }

    /// Of events that must have a value in common Python looks through all again.
    fn expiry(&self) -> Expiry {
        match self.during_ms {
            None => Expiry::Never,
            Some(_) if self.is_alike() => Expiry::Beyond,
            Some(_) => Expiry::Here,
        }
    }

    fn gone_ms(&self, state: &mut State) -> i64 {
        match (Course::of(state), self.during_ms) {
            (Some(course), Some(during_ms)) if !course.records.is_empty() => course.records.at(0) - BIAS + during_ms,
            _ => NEVER_MS,
        }
    }

    fn expire(&self, state: &mut State, now_ms: i64) -> bool {
        let (Some(course), Some(during_ms)) = (Course::of(state), self.during_ms) else { return false };
        let gone = course.records.after(now_ms - during_ms + BIAS);
        if gone > 0 {
            self.forget(course, gone);
        }
        course.records.is_empty() && course.settled == 0
    }
}
