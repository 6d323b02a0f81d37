//! Active days: which days, weeks or months somebody did something in (`onefold.language.keeping.activity`).

use super::{At, Change, Due, Keeping, State};
use crate::msgpack::{Reader, write_bytes, write_int, write_list};
use crate::periods::Periods;
use crate::value::Value;
use crate::{Beyond, Here};

const PERIODS_MAX: i64 = 3_660;
/// No period of any calendar is further away.
const INDEX_MAX: i64 = 1 << 40;

/// `[first, bits]`: bit n is set where the period `first + n` was active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    first: i64,
    /// From the lowest; the last byte is not zero.
    bits: Vec<u8>,
}

impl Active {
    /// One period.
    #[must_use]
    pub fn lift(index: i64) -> Active {
        Active { first: index, bits: vec![1] }
    }

    /// The state that was stored.
    ///
    /// # Errors
    /// It has another shape.
    pub fn read(stored: &mut Reader<'_>) -> Here<Active> {
        if stored.list()? != 2 {
            return Err(Beyond);
        }
        let state = Active { first: stored.int()?, bits: stored.bytes()?.to_vec() };
        let whole = state.bits.last().is_some_and(|byte| *byte != 0) && state.bits[0] & 1 == 1;
        if whole && state.first.abs() < INDEX_MAX && state.size() <= PERIODS_MAX { Ok(state) } else { Err(Beyond) }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 2);
        write_int(out, self.first);
        write_bytes(out, &self.bits);
    }

    /// How many periods there are from the first to the last.
    fn size(&self) -> i64 {
        let unused = self.bits.last().map_or(0, |byte| byte.leading_zeros());
        i64::try_from(8 * self.bits.len()).unwrap_or(i64::MAX) - i64::from(unused)
    }

    fn last(&self) -> i64 {
        self.first + self.size() - 1
    }

    /// Whether the period so many after the first was active.
    fn has(&self, apart: i64) -> bool {
        let Ok(apart) = usize::try_from(apart) else { return false };
        self.bits.get(apart / 8).is_some_and(|byte| byte >> (apart % 8) & 1 == 1)
    }

    fn set(&mut self, apart: i64) {
        let Ok(apart) = usize::try_from(apart) else { return };
        if apart / 8 >= self.bits.len() {
            self.bits.resize(apart / 8 + 1, 0);
        }
        self.bits[apart / 8] |= 1 << (apart % 8);
    }

    /// The active periods, in order.
    fn each(&self) -> impl DoubleEndedIterator<Item = i64> {
        (0..self.size()).filter(|apart| self.has(*apart)).map(|apart| self.first + apart)
    }

    /// A period more; false where it was active already.
    pub fn put(&mut self, index: i64) -> bool {
        let apart = index - self.first;
        if self.has(apart) {
            return false;
        }
        if (0..PERIODS_MAX).contains(&apart) {
            self.set(apart);
        } else {
            self.combine(&Active::lift(index));
        }
        true
    }

    /// Both in one; of these the latest.
    pub fn combine(&mut self, other: &Active) {
        let oldest = self.last().max(other.last()) - PERIODS_MAX + 1;
        let Some(first) = self.each().chain(other.each()).filter(|index| *index >= oldest).min() else { return };
        let mut both = Active { first, bits: Vec::new() };
        for index in self.each().chain(other.each()) {
            both.set(index - first);
        }
        *self = both;
    }

    fn count(&self) -> i64 {
        self.bits.iter().map(|byte| i64::from(byte.count_ones())).sum()
    }

    fn longest(&self) -> i64 {
        let (mut longest, mut run) = (0, 0);
        for apart in 0..self.size() {
            run = if self.has(apart) { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        longest
    }

    /// The run that ends with the last period.
    fn run(&self) -> i64 {
        let size = self.size();
        (0..size).rev().find(|apart| !self.has(*apart)).map_or(size, |apart| size - 1 - apart)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Days,
    Longest,
    Streak,
}

/// What is asked of active periods.
#[derive(Clone, Copy, Debug)]
pub struct ActiveOf {
    asked: Asked,
    periods: Periods,
}

impl ActiveOf {
    /// `None`: this is no function of active periods.
    #[must_use]
    pub fn of(function: &str, periods: Periods) -> Option<ActiveOf> {
        let asked = match function {
            "days_active" => Asked::Days,
            "longest_streak" => Asked::Longest,
            "streak" => Asked::Streak,
            _ => return None,
        };
        Some(ActiveOf { asked, periods })
    }

    /// The period of an instant.
    #[must_use]
    pub fn index(&self, at_ms: i64) -> i64 {
        self.periods.index(at_ms)
    }

    /// The value of a state at an instant; arms for when it moves by itself.
    pub fn value(&self, state: Option<&Active>, now_ms: i64, due: &mut Due) -> Value {
        let Some(state) = state else { return Value::Int(0) };
        Value::Int(match self.asked {
            Asked::Days => state.count(),
            Asked::Longest => state.longest(),
            Asked::Streak => self.streak(state, now_ms, due),
        })
    }

    /// The run up to this period or the one before; over when a whole period has passed without anything.
    fn streak(&self, state: &Active, now_ms: i64, due: &mut Due) -> i64 {
        let last = state.last();
        if last < self.periods.index(now_ms) - 1 {
            return 0;
        }
        due.by(self.periods.start_ms(last + 2));
        state.run()
    }
}

/// Over all events.
pub struct Lifetime(pub ActiveOf);

impl Keeping for Lifetime {
    fn read(&self, stored: &mut Reader<'_>) -> Here<State> {
        Ok(State::Active(Active::read(stored)?.into()))
    }

    fn put(&self, slot: &mut Option<State>, _given: &Value, _bits: u16, event: At<'_>, _due: &mut Due) -> Change {
        let index = self.0.index(event.at_ms);
        let Some(State::Active(state)) = slot else {
            *slot = Some(State::Active(Active::lift(index).into()));
            return Change::Some;
        };
        Change::of(state.put(index))
    }

    fn value(&self, slot: Option<&mut State>, now_ms: i64, due: &mut Due, _level: Option<f64>) -> Value {
        self.0.value(if let Some(State::Active(state)) = slot { Some(&**state) } else { None }, now_ms, due)
    }
}
