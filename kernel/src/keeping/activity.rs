//! Active days: which days, weeks or months somebody did something in (`onefold.language.keeping.activity`).

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use super::description::Description;
use super::monoid::{Asked, Kept, Monoid, together};
use super::{At, Change, Due};
use crate::msgpack::{Reader, write_bytes, write_int, write_list};
use crate::periods::Periods;
use crate::value::Value;
use crate::zones::zone;
use crate::{Beyond, Here};

const PERIODS_MAX: i64 = 3_660;
/// No period of any calendar is further away.
const INDEX_MAX: i64 = 1 << 40;

/// `[first, bits]`: bit n is set where the period `first + n` was active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    first: i64,
    /// From the lowest; the last byte is not zero.
    bits: SmallVec<[u8; 16]>,
}

impl Kept for Active {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 2);
        write_int(out, self.first);
        write_bytes(out, &self.bits);
    }

    fn touch(&self) -> usize {
        self.bits.len()
    }
}

impl Active {
    /// One period.
    #[must_use]
    pub fn lift(index: i64) -> Active {
        Active { first: index, bits: smallvec![1] }
    }

    fn read(stored: &mut Reader<'_>) -> Here<Active> {
        if stored.list()? != 2 {
            return Err(Beyond);
        }
        let state = Active { first: stored.int()?, bits: SmallVec::from_slice(stored.bytes()?) };
        let whole = state.bits.last().is_some_and(|byte| *byte != 0) && state.bits[0] & 1 == 1;
        if whole && state.first.abs() < INDEX_MAX && state.size() <= PERIODS_MAX { Ok(state) } else { Err(Beyond) }
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
        let mut both = Active { first, bits: SmallVec::new() };
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
enum Function {
    Days,
    Longest,
    Streak,
}

/// What is asked of active periods.
#[derive(Clone, Copy, Debug)]
pub struct ActiveOf {
    function: Function,
    periods: Periods,
}

impl ActiveOf {
    /// Of periods `per` in `timezone`. `None`: this is no function of active periods, or the zone is not known.
    pub fn of(described: &Description) -> Option<ActiveOf> {
        let function = match described.function.as_str() {
            "days_active" => Function::Days,
            "longest_streak" => Function::Longest,
            "streak" => Function::Streak,
            _ => return None,
        };
        let zone = zone(described.text("timezone").unwrap_or("UTC"))?;
        Some(ActiveOf { function, periods: Periods::of(described.text("per").unwrap_or("day"), zone)? })
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

impl Monoid for ActiveOf {
    type Kept = Active;
    type States = Vec<Active>;

    fn lift(&self, _given: &Value, event: At<'_>) -> Option<Active> {
        Some(Active::lift(self.periods.index(event.at_ms)))
    }

    fn combine(&self, kept: &mut Active, more: Active) {
        if more.bits[..] != [1] || !kept.has(more.first - kept.first) {
            kept.combine(&more);
        }
    }

    fn absorb(&self, kept: &mut Active, _given: &Value, event: At<'_>) -> Change {
        Change::of(kept.put(self.periods.index(event.at_ms)))
    }

    fn total<'a>(&self, states: &'a [Active]) -> Option<Cow<'a, Active>> {
        together(states, Active::combine)
    }

    fn result(&self, kept: Option<&Active>, asked: Asked<'_>) -> Value {
        let Some(state) = kept else { return Value::Int(0) };
        Value::Int(match self.function {
            Function::Days => state.count(),
            Function::Longest => state.longest(),
            Function::Streak => self.streak(state, asked.now_ms, asked.due),
        })
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Active> {
        Active::read(stored)
    }
}
