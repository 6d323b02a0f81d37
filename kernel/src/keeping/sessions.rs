//! Sessions: stretches of activity that a gap of inactivity ends (`onefold.language.keeping.sessions`).

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use super::description::Description;
use super::monoid::{Asked, Kept, Monoid, together};
use super::{At, Change};
use crate::msgpack::{Reader, write_int, write_list};
use crate::value::Value;
use crate::{Beyond, Here};

const SESSIONS_MAX: usize = 200;
const NEVER: i64 = -(1 << 62);
const HEAD: usize = 3;
/// The gap that ends a session where none is named.
const GAP_MS: i64 = 30 * 60 * 1000;

/// `[settled, settled_ms, horizon_ms, begin, end, begin, end, …]`, as Python keeps it.
#[derive(Clone, Debug)]
pub struct Sessions(Numbers);

/// Those of one session have no allocation of their own.
type Numbers = SmallVec<[i64; HEAD + 2]>;

impl Kept for Sessions {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, self.0.len());
        for number in &self.0 {
            write_int(out, *number);
        }
    }
}

impl Sessions {
    /// One event.
    #[must_use]
    pub fn lift(at_ms: i64) -> Sessions {
        Sessions(smallvec![0, 0, NEVER, at_ms, at_ms])
    }

    fn read(stored: &mut Reader<'_>) -> Here<Sessions> {
        let size = stored.list()?;
        if size < HEAD + 2 || size % 2 == 0 || size > HEAD + 2 * SESSIONS_MAX {
            return Err(Beyond);
        }
        let numbers: Numbers = (0..size).map(|_| stored.int()).collect::<Here<_>>()?;
        if numbers.iter().all(|number| (NEVER..=-NEVER).contains(number)) { Ok(Sessions(numbers)) } else { Err(Beyond) }
    }

    fn pairs(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0[HEAD..].as_chunks().0.iter().map(|[begin, end]| (*begin, *end))
    }

    fn count(&self) -> i64 {
        self.0[0] + i64::try_from(self.pairs().count()).unwrap_or_default()
    }

    fn whole_ms(&self) -> i64 {
        self.0[1] + self.pairs().map(|(begin, end)| end - begin).sum::<i64>()
    }
}

/// What is asked of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Count,
    Length,
    Time,
}

/// How sessions of one gap are put together.
#[derive(Clone, Copy, Debug)]
pub struct SessionsOf {
    gap_ms: i64,
    function: Function,
}

impl SessionsOf {
    /// `None`: this is no function of sessions. `every_ms`: two events less apart are of one session.
    pub fn of(described: &Description) -> Option<SessionsOf> {
        let function = match described.function.as_str() {
            "session_count" => Function::Count,
            "session_length" => Function::Length,
            "session_time" => Function::Time,
            _ => return None,
        };
        Some(SessionsOf { gap_ms: described.int("every_ms").unwrap_or(GAP_MS), function })
    }

    /// What of either lies before the other's horizon is settled with it.
    fn joined(&self, a: &Sessions, b: &Sessions) -> Numbers {
        let mut all: Vec<_> = a.pairs().chain(b.pairs()).collect();
        all.sort_unstable();
        let mut joined: Numbers = smallvec![a.0[0] + b.0[0], a.0[1] + b.0[1], a.0[2].max(b.0[2])];
        for (begin, end) in all {
            let size = joined.len();
            if end <= joined[2] {
                joined[0] += 1;
                joined[1] += end - begin;
            } else if size > HEAD && begin < joined[size - 1] + self.gap_ms {
                joined[size - 1] = joined[size - 1].max(end);
            } else {
                joined.extend([begin, end]);
            }
        }
        joined
    }
}

/// The oldest sessions are too many.
fn settle(numbers: &mut Numbers) {
    while numbers.len() > HEAD + 2 * SESSIONS_MAX {
        let (begin, end) = (numbers[HEAD], numbers[HEAD + 1]);
        numbers[0] += 1;
        numbers[1] += end - begin;
        numbers[2] = end;
        numbers.drain(HEAD..HEAD + 2);
    }
}

impl Monoid for SessionsOf {
    type Kept = Sessions;
    type States = Vec<Sessions>;

    fn lift(&self, _given: &Value, event: At<'_>) -> Option<Sessions> {
        Some(Sessions::lift(event.at_ms))
    }

    /// Mostly `more` is one instant, after all or within the last session.
    fn combine(&self, kept: &mut Sessions, more: Sessions) {
        let (numbers, at_ms) = (&mut kept.0, more.0[HEAD]);
        let one = more.0.len() == HEAD + 2 && more.0[2] == NEVER && more.0[HEAD + 1] == at_ms;
        let size = numbers.len();
        if one && at_ms >= numbers[size - 2] {
            if at_ms < numbers[size - 1] + self.gap_ms {
                numbers[size - 1] = numbers[size - 1].max(at_ms);
            } else {
                numbers.extend([at_ms, at_ms]);
            }
        } else if !one || at_ms > numbers[2] {
            kept.0 = self.joined(kept, &more);
        }
        settle(&mut kept.0);
    }

    fn absorb(&self, kept: &mut Sessions, _given: &Value, event: At<'_>) -> Change {
        let [.., begin, end] = kept.0.as_mut_slice() else { return Change::None };
        let at_ms = event.at_ms;
        if *begin <= at_ms && at_ms < *end + self.gap_ms {
            let longer = at_ms > *end;
            *end = at_ms.max(*end);
            return Change::of(longer && self.function != Function::Count);
        }
        self.combine(kept, Sessions::lift(at_ms));
        Change::Some
    }

    fn total<'a>(&self, states: &'a [Sessions]) -> Option<Cow<'a, Sessions>> {
        together(states, |total, state| self.combine(total, state.clone()))
    }

    #[allow(clippy::cast_precision_loss)] // lengths of people's lives are well within 2^53 ms
    fn result(&self, kept: Option<&Sessions>, _asked: Asked<'_>) -> Value {
        match (self.function, kept) {
            (Function::Count, kept) => Value::Int(kept.map_or(0, Sessions::count)),
            (Function::Time, None) => Value::Int(0),
            (Function::Time, Some(state)) => Value::Float(state.whole_ms() as f64 / 1000.0),
            (Function::Length, None) => Value::Null,
            (Function::Length, Some(state)) => Value::Float(state.whole_ms() as f64 / (1000 * state.count()) as f64),
        }
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Sessions> {
        Sessions::read(stored)
    }
}
