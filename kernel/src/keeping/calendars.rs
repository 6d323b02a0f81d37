//! Calendar windows, in a zone that is fixed or each person's own (`onefold.language.keeping.calendars`).

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use super::description::Description;
use super::monoid::{Asked, Kept, Monoid};
use super::stretches::{self, Stretches};
use super::{At, Change, Due, Expiry, Keeping, State};
use crate::civil::DAY_MS;
use crate::msgpack::{Reader, write_int, write_list};
use crate::periods::Periods;
use crate::value::Value;
use crate::zones::{Zone, know_all, known, zone};
use crate::{Beyond, Here};

const QUARTER_MS: i64 = 15 * 60 * 1000;
/// No calendar window reaches back further.
const SPAN_MS: i64 = 2 * 366 * DAY_MS;
/// More than zones are apart.
const SPARE_MS: i64 = 2 * DAY_MS;
/// The time zone that is each person's own.
const PERSON: &str = "person";

/// A calendar window: of which periods, and how many ago.
#[derive(Clone, Copy, Debug)]
struct Calendar {
    periods: Periods,
    ago: i64,
}

impl Calendar {
    /// The one of this name (`nodes.CALENDARS`).
    fn of(name: &str, zone: &'static Zone) -> Option<Calendar> {
        let (kind, ago) = match name {
            "yesterday" => ("day", 1),
            _ => match name.split_once('_')? {
                ("this", kind) => (kind, 0),
                ("last", kind) => (kind, 1),
                _ => return None,
            },
        };
        Some(Calendar { periods: Periods::of(kind, zone)?, ago })
    }

    fn in_zone(self, zone: &'static Zone) -> Calendar {
        Calendar { periods: self.periods.in_zone(zone), ..self }
    }

    fn at(self, now_ms: i64) -> Span {
        let (index, since_ms, turn_ms) = self.periods.around(now_ms);
        if self.ago == 0 {
            return Span { start_ms: since_ms, end_ms: turn_ms, since_ms, turn_ms };
        }
        let (start_ms, end_ms) = (self.periods.start_ms(index - self.ago), self.periods.start_ms(index - self.ago + 1));
        Span { start_ms, end_ms, since_ms, turn_ms }
    }
}

/// A calendar window as of some instants.
#[allow(clippy::struct_field_names)] // all are instants in ms
struct Span {
    start_ms: i64,
    /// Exclusive.
    end_ms: i64,
    /// It is this window from `since_ms` on, and another from `turn_ms` on.
    since_ms: i64,
    turn_ms: i64,
}

/// How a calendar window of a monoid is kept; `None`: not known here.
pub fn of<M: Monoid>(monoid: M, name: &str, described: &Description) -> Option<Box<dyn Keeping>> {
    let timezone = described.text("timezone").unwrap_or("UTC");
    if timezone != PERSON {
        return Some(Box::new(Fixed { monoid, calendar: Calendar::of(name, zone(timezone)?)? }));
    }
    let here = zone(described.text("workspace_zone").unwrap_or("UTC"))?;
    let calendar = Calendar::of(name, here)?;
    let stretches = Stretches::new(monoid, SPAN_MS, QUARTER_MS);
    know_all().then(|| Box::new(Personal { stretches, calendar }) as Box<dyn Keeping>)
}

/// In one zone.
struct Fixed<M> {
    monoid: M,
    calendar: Calendar,
}

/// The states of two periods at most, in order, each with when the period begins.
#[derive(Clone, Debug)]
struct Whole<K>(SmallVec<[(i64, K); 1]>);

impl<K: Kept> Kept for Whole<K> {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 2 * self.0.len());
        for (begin_ms, state) in &self.0 {
            write_int(out, *begin_ms);
            state.write(out);
        }
    }
}

impl<M: Monoid> Keeping for Fixed<M> {
    fn read(&self, stored: &mut Reader<'_>) -> Here<State> {
        let size = stored.list()?;
        if size > 4 || size % 2 != 0 {
            return Err(Beyond);
        }
        let one = |_| Ok((stored.int()?, self.monoid.read(stored)?));
        (0..size / 2).map(one).collect::<Here<_>>().map(|periods| Whole::<M::Kept>(periods).into_state())
    }

    /// Of an event that is older than the window it is said that something may have changed, where there is a window.
    fn put(&self, slot: &mut Option<State>, given: &Value, _bits: u16, event: At<'_>, _due: &mut Due) -> Change {
        let Some(lifted) = self.monoid.lift(given, event) else { return Change::None };
        let (span, at_ms) = (self.calendar.at(event.now_ms), event.at_ms);
        if at_ms < span.start_ms {
            return Change::of(slot.is_some());
        }
        let is_now = span.since_ms <= at_ms && at_ms < span.turn_ms;
        let begin_ms = if is_now { span.since_ms } else { self.calendar.periods.around(at_ms).1 };
        let Some(state) = slot else {
            *slot = Some(Whole(smallvec![(begin_ms, lifted)]).into_state());
            return Change::Some;
        };
        let Some(Whole(periods)) = Whole::<M::Kept>::of(state) else { return Change::None };
        match periods.iter().position(|each| each.0 >= begin_ms) {
            Some(place) if periods[place].0 == begin_ms => self.monoid.combine(&mut periods[place].1, lifted),
            place => periods.insert(place.unwrap_or(periods.len()), (begin_ms, lifted)),
        }
        if periods.len() > 2 {
            periods.remove(0);
        }
        Change::Some
    }

    fn value(&self, slot: Option<&mut State>, now_ms: i64, due: &mut Due, level: Option<f64>) -> Value {
        let mut found = None;
        if let Some(Whole(periods)) = slot.and_then(Whole::<M::Kept>::of)
            && !periods.is_empty()
        {
            let span = self.calendar.at(now_ms);
            due.by(span.turn_ms);
            found = periods.iter().rev().find(|each| each.0 == span.start_ms).map(|each| &each.1);
        }
        self.monoid.result(found, Asked { now_ms, due, level })
    }

    fn expiry(&self) -> Expiry {
        Expiry::Here
    }

    fn expire(&self, state: &mut State, now_ms: i64) -> bool {
        let Some(Whole(periods)) = Whole::<M::Kept>::of(state) else { return false };
        let oldest_ms = self.calendar.at(now_ms).start_ms;
        let gone = periods.iter().take_while(|period| period.0 < oldest_ms).count();
        periods.drain(..gone);
        periods.is_empty()
    }
}

/// In each person's own zone.
struct Personal<M> {
    stretches: Stretches<M>,
    /// In the workspace's zone, of whoever names none.
    calendar: Calendar,
}

impl<M: Monoid> Personal<M> {
    /// No event that is older is in the window at this instant or later, in whatever zone.
    fn oldest_ms(&self, now_ms: i64) -> i64 {
        let Calendar { periods, ago } = self.calendar;
        periods.start_ms(periods.index(now_ms - SPARE_MS) - ago) - SPARE_MS
    }

    fn state<'a>(
        &self,
        window: &'a mut stretches::Window<M::Kept>,
        person: Option<&'static Zone>,
        now_ms: i64,
        due: &mut Due,
    ) -> Option<Cow<'a, M::Kept>> {
        if window.is_empty() {
            return None;
        }
        let span = person.map_or(self.calendar, |zone| self.calendar.in_zone(zone)).at(now_ms);
        due.by(span.turn_ms);
        self.stretches.total(window, span.start_ms, span.end_ms)
    }
}

impl<M: Monoid> Keeping for Personal<M> {
    fn read(&self, stored: &mut Reader<'_>) -> Here<State> {
        self.stretches.read(stored)
    }

    /// An event that is too old for the window in every zone is passed over.
    fn put(&self, slot: &mut Option<State>, given: &Value, _bits: u16, event: At<'_>, _due: &mut Due) -> Change {
        if event.at_ms < self.oldest_ms(event.now_ms) {
            return Change::None;
        }
        let Some(lifted) = self.stretches.monoid.lift(given, event) else { return Change::None };
        self.stretches.put(slot, lifted, event.at_ms);
        Change::Some
    }

    fn value(&self, slot: Option<&mut State>, now_ms: i64, due: &mut Due, level: Option<f64>) -> Value {
        self.value_of_person(slot, None, Asked { now_ms, due, level })
    }

    fn value_of_person(&self, slot: Option<&mut State>, person: Option<&'static Zone>, asked: Asked<'_>) -> Value {
        let Asked { now_ms, due, level } = asked;
        let window = slot.and_then(stretches::Window::of);
        let state = window.and_then(|window| self.state(window, person, now_ms, due));
        self.stretches.monoid.result(state.as_deref(), Asked { now_ms, due, level })
    }

    fn expiry(&self) -> Expiry {
        Expiry::Here
    }

    fn expire(&self, state: &mut State, now_ms: i64) -> bool {
        let Some(window) = stretches::Window::of(state) else { return false };
        let before_ms = self.oldest_ms(now_ms) - window.quantum_ms() + 1;
        self.stretches.drop_before(window, before_ms);
        window.is_empty()
    }
}

/// The zone that a person names: the declared trait `timezone` where that names one, else what their latest event's
/// context says. `None`: they name none, and are judged by the workspace's.
pub fn zone_of(declared: Option<&Value>, latest: Option<&Value>) -> Option<&'static Zone> {
    let named = |value: &Value| if let Value::Str(name) = value { known(name) } else { None };
    declared.and_then(named).or_else(|| latest.and_then(named))
}
