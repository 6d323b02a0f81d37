//! `first` and `last`: the value of the event at one end of time. `time_since`: when the latest event was.

use std::borrow::Cow;
use std::cmp::Ordering;

use smallvec::SmallVec;

use super::monoid::{Asked, Kept, Monoid};
use super::{At, Change};
use crate::Beyond;
use crate::Here;
use crate::msgpack::{Reader, write_bytes, write_int, write_list, write_value};
use crate::value::Value;

/// A value, and the event that brought it.
#[derive(Clone, Debug)]
pub struct Moment {
    at_ms: i64,
    tie: SmallVec<[u8; 16]>,
    value: Value,
}

impl Moment {
    fn read(stored: &mut Reader<'_>) -> Here<Moment> {
        if stored.list()? != 3 {
            return Err(Beyond);
        }
        Ok(Moment { at_ms: stored.int()?, tie: stored.bytes()?.into(), value: stored.value()? })
    }

    /// Whether an event comes before or after the one that is kept.
    fn order(&self, at_ms: i64, tie: &[u8]) -> Ordering {
        at_ms.cmp(&self.at_ms).then_with(|| tie.cmp(&self.tie))
    }
}

impl Kept for Moment {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 3);
        write_int(out, self.at_ms);
        write_bytes(out, &self.tie);
        write_value(out, &self.value);
    }
}

/// The monoid of `first` (`Less`) or `last` (`Greater`).
pub struct AtAnEnd(pub Ordering);

impl Monoid for AtAnEnd {
    type Kept = Moment;
    type States = Vec<Moment>;

    fn lift(&self, given: &Value, event: At<'_>) -> Option<Moment> {
        let moment = || Moment { at_ms: event.at_ms, tie: event.tie.into(), value: given.clone() };
        (!matches!(given, Value::Null)).then(moment)
    }

    fn combine(&self, kept: &mut Moment, more: Moment) {
        if kept.order(more.at_ms, &more.tie) == self.0 {
            *kept = more;
        }
    }

    fn absorb(&self, kept: &mut Moment, given: &Value, event: At<'_>) -> Change {
        if matches!(given, Value::Null) || kept.order(event.at_ms, event.tie) != self.0 {
            return Change::None;
        }
        kept.at_ms = event.at_ms;
        kept.tie.clear();
        kept.tie.extend_from_slice(event.tie);
        let change = if kept.value.is_identical(given) { Change::None } else { Change::Some };
        // Floats that are equal may be different, as 0.0 and -0.0, and objects have their keys in an order.
        if !matches!((&kept.value, given), (Value::Str(_), Value::Str(_)) if change == Change::None) {
            kept.value = given.clone();
        }
        change
    }

    fn total<'a>(&self, states: &'a [Moment]) -> Option<Cow<'a, Moment>> {
        let at_the_end = if self.0 == Ordering::Less { states.first() } else { states.last() };
        at_the_end.map(Cow::Borrowed)
    }

    fn result(&self, kept: Option<&Moment>, _asked: Asked<'_>) -> Value {
        kept.map_or(Value::Null, |moment| moment.value.clone())
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Moment> {
        Moment::read(stored)
    }
}

/// The monoid of `time_since`, in units of so many milliseconds.
pub struct TimeSince {
    pub unit_ms: i64,
}

impl TimeSince {
    /// When the value is next another; where it is only compared with a level, another for that.
    #[allow(clippy::cast_possible_truncation)] // no level that far is ever reached
    fn turn(passed: i64, level: Option<f64>) -> Option<i64> {
        let Some(level) = level else { return Some(passed + 1) };
        let turns = [level.ceil() as i64, (level.floor() as i64).saturating_add(1)];
        turns.into_iter().find(|turn| *turn > passed)
    }
}

impl Monoid for TimeSince {
    type Kept = i64;
    type States = Vec<i64>;

    fn lift(&self, _given: &Value, event: At<'_>) -> Option<i64> {
        Some(event.at_ms)
    }

    fn combine(&self, kept: &mut i64, more: i64) {
        *kept = (*kept).max(more);
    }

    fn absorb(&self, kept: &mut i64, _given: &Value, event: At<'_>) -> Change {
        if event.at_ms <= *kept {
            return Change::None;
        }
        *kept = event.at_ms;
        Change::Some
    }

    fn total<'a>(&self, states: &'a [i64]) -> Option<Cow<'a, i64>> {
        states.iter().max().map(Cow::Borrowed)
    }

    fn result(&self, kept: Option<&i64>, asked: Asked<'_>) -> Value {
        let Some(at_ms) = kept else { return Value::Null };
        let passed = (asked.now_ms - at_ms).div_euclid(self.unit_ms);
        if let Some(turn) = TimeSince::turn(passed, asked.level) {
            asked.due.by(turn.saturating_mul(self.unit_ms).saturating_add(*at_ms));
        }
        Value::Int(passed)
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<i64> {
        stored.int()
    }
}
