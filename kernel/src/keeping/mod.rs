//! How a profile keeps what definitions need of its events: `onefold.language.keeping` again, state by state the same.
//!
//! One module for each family. What an aggregate keeps is a [`monoid::Monoid`]; over which events it keeps that, a
//! [`Keeping`]: over all (`lifetime`), or over a window.

pub mod activity;
pub mod calendars;
pub mod counts;
pub mod description;
pub mod favourites;
pub mod lifetime;
pub mod moments;
pub mod monoid;
pub mod numbers;
pub mod panes;
pub mod quantiles;
mod records;
pub mod sequences;
pub mod sessions;
pub mod slot;
pub mod spread;
pub mod stretches;
pub mod tallies;
pub mod totals;
mod walks;
pub mod windows;

use std::cmp::Ordering;

use description::{Description, Window};
use monoid::{AnyKept, Asked, Kept, Monoid};
use numbers::Number;

use crate::msgpack::Reader;
use crate::value::Value;
use crate::zones::Zone;
use crate::{Beyond, Here};

/// Later than any instant (`onefold.limits.NEVER_MS`).
pub const NEVER_MS: i64 = 1 << 53;

/// Which steps of a sequence an event is: a bit each.
pub type Bits = u8;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The state of one slot. As long as nobody has looked into it, it is the bytes that the profile was stored with.
#[derive(Debug)]
pub enum State {
    /// Msgpack of it.
    Stored(Box<[u8]>),
    /// A lifetime count, or the latest event's time.
    Int(i64),
    /// The least or greatest number.
    Number(Number),
    /// Any other.
    Kept(Box<dyn AnyKept>),
}

impl Clone for State {
    fn clone(&self) -> State {
        match self {
            State::Stored(bytes) => State::Stored(bytes.clone()),
            State::Int(number) => State::Int(*number),
            State::Number(number) => State::Number(*number),
            State::Kept(kept) => State::Kept(kept.copied()),
        }
    }
}

impl State {
    /// Look at the memory that it is in, so that it is on its way when that is needed. The number means nothing.
    pub fn touch(&self) -> usize {
        if let State::Kept(kept) = self { kept.touch_it() } else { 0 }
    }

    /// Append its msgpack, byte for byte what Python would store.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            State::Stored(bytes) => out.extend(&**bytes),
            State::Int(number) => number.write(out),
            State::Number(number) => number.write(out),
            State::Kept(kept) => kept.write_to(out),
        }
    }
}

/// The event that is put into slots.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// When it happened, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Decides between equal times: the message's fingerprint.
    pub tie: &'a [u8],
    /// The log's time.
    pub now_ms: i64,
}

/// When the profile has to be woken next: `Profile.due_ms`.
pub struct Due(pub i64);

impl Due {
    /// Wake it no later than this.
    pub fn by(&mut self, at_ms: i64) {
        self.0 = self.0.min(at_ms);
    }
}

/// What has become of a slot that an event was put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its value is what it was.
    None,
    /// Its value may be another.
    Some,
}

impl Change {
    /// `changed`: its value may be another.
    #[must_use]
    pub fn of(changed: bool) -> Change {
        if changed { Change::Some } else { Change::None }
    }
}

/// Whether time takes something out of a state, and who does that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Never,
    /// `Keeping::expire`.
    Here,
    /// It is left to Python.
    Beyond,
}

/// How the state of one slot is kept, and what it stands for; made once for each definition.
pub trait Keeping: Send + Sync {
    /// The state in these bytes, which it fills. `Beyond`: they have another shape than is known here.
    fn read(&self, stored: &mut Reader<'_>) -> Here<State>;

    /// Put an event into the slot. Its condition and its being within the window were asked before.
    ///
    /// `given` is the value of the aggregate's field (`Null` where it has none); for sequences `bits` are the steps
    /// that the event is. What wakes the profile is armed in `due`. Arms and changes exactly what Python's generated
    /// code does (`onefold.language.stream.putting`).
    fn put(&self, slot: &mut Option<State>, given: &Value, bits: u16, event: At<'_>, due: &mut Due) -> Change;

    /// The value of the slot at this instant; arms `due` where it moves with time. `level`: the number that it is
    /// only compared with, if so (`onefold.language.stream.source.slot_value`).
    fn value(&self, slot: Option<&mut State>, now_ms: i64, due: &mut Due, level: Option<f64>) -> Value;

    /// The same where the window is that of the calendar in each person's own zone: `person` is that
    /// (`calendars::zone_of`).
    fn value_of_person(&self, slot: Option<&mut State>, person: Option<&'static Zone>, asked: Asked<'_>) -> Value {
        let (_, Asked { now_ms, due, level }) = (person, asked);
        self.value(slot, now_ms, due, level)
    }

    /// Put the events of `theirs` into `mine`; of what is not known here (`Beyond`) nothing has changed.
    fn merge(&self, _mine: &mut State, _theirs: &mut State) -> Here<()> {
        Err(Beyond)
    }

    /// Whether time takes something out.
    fn expiry(&self) -> Expiry {
        Expiry::Beyond
    }

    /// When time next takes something out by which the value may change; `NEVER_MS`: values arm their profile themselves.
    fn gone_ms(&self, _state: &mut State) -> i64 {
        NEVER_MS
    }

    /// Drop what time has taken out by now; true: nothing is left, and the slot can go.
    fn expire(&self, _state: &mut State, _now_ms: i64) -> bool {
        false
    }
}

/// The state of a slot as this keeping knows it: read where it is still as it was stored.
pub fn opened(keeping: &dyn Keeping, slot: &mut Option<State>) -> Here<()> {
    if let Some(State::Stored(bytes)) = slot {
        let mut reader = Reader::new(bytes);
        let state = keeping.read(&mut reader)?;
        if !reader.is_done() {
            return Err(Beyond);
        }
        *slot = Some(state);
    }
    Ok(())
}

/// How the slot that is described is kept. `None`: not known here.
pub fn of(described: &Description) -> Option<Box<dyn Keeping>> {
    match described.function.as_str() {
        "count" => over(counts::Count, described),
        "sequence" | "sequence_count" => sequences::of(described),
        "sum" => over(totals::Totals { average: false }, described),
        "avg" => over(totals::Totals { average: true }, described),
        "min" => over(numbers::Extreme(Ordering::Less), described),
        "max" => over(numbers::Extreme(Ordering::Greater), described),
        "first" => over(moments::AtAnEnd(Ordering::Less), described),
        "last" => over(moments::AtAnEnd(Ordering::Greater), described),
        "most_frequent" => over(favourites::MostFrequent, described),
        "unique" => over(favourites::Unique { counted: false }, described),
        "unique_count" => over(favourites::Unique { counted: true }, described),
        "top" => over(favourites::Top { most: usize::try_from(described.int("number")?).ok()? }, described),
        "percentile" => over(quantiles::Percentile::of(described.get("number"))?, described),
        "stddev" => over(spread::Deviation, described),
        "time_since" => over(moments::TimeSince { unit_ms: described.int("every_ms").unwrap_or(DAY_MS) }, described),
        "session_count" | "session_length" | "session_time" => over(sessions::SessionsOf::of(described)?, described),
        "days_active" | "streak" | "longest_streak" => over(activity::ActiveOf::of(described)?, described),
        _ => None,
    }
}

/// A monoid over the events that are described.
fn over<M: Monoid>(monoid: M, described: &Description) -> Option<Box<dyn Keeping>> {
    match described.window() {
        Window::Lifetime => Some(Box::new(lifetime::Lifetime(monoid))),
        Window::Sliding(within_ms) => Some(Box::new(windows::Sliding::new(monoid, within_ms))),
        Window::Between(within_ms, until_ms) => Some(Box::new(stretches::Between::new(monoid, within_ms, until_ms))),
        Window::Calendar(name) => calendars::of(monoid, name, described),
    }
}
