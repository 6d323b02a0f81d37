//! Sessions: stretches of activity that a gap of inactivity ends (`onefold.language.keeping.sessions`).

use super::{At, Change, Due, Keeping, State};
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
pub struct Sessions(Vec<i64>);

impl Sessions {
    /// One event.
    #[must_use]
    pub fn lift(at_ms: i64) -> Sessions {
        Sessions(vec![0, 0, NEVER, at_ms, at_ms])
    }

    /// The state that was stored.
    ///
    /// # Errors
    /// It has another shape.
    pub fn read(stored: &mut Reader<'_>) -> Here<Sessions> {
        let size = stored.list()?;
        if size < HEAD + 2 || size % 2 == 0 || size > HEAD + 2 * SESSIONS_MAX {
            return Err(Beyond);
        }
        let numbers: Vec<_> = (0..size).map(|_| stored.int()).collect::<Here<_>>()?;
        if numbers.iter().all(|number| (NEVER..=-NEVER).contains(number)) { Ok(Sessions(numbers)) } else { Err(Beyond) }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        write_list(out, self.0.len());
        for number in &self.0 {
            write_int(out, *number);
        }
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
enum Asked {
    Count,
    Length,
    Time,
}

/// How sessions of one gap are put together.
#[derive(Clone, Copy, Debug)]
pub struct SessionsOf {
    gap_ms: i64,
    asked: Asked,
}

impl SessionsOf {
    /// `None`: this is no function of sessions. `gap_ms`: two events less apart are of one session.
    #[must_use]
    pub fn of(function: &str, gap_ms: Option<i64>) -> Option<SessionsOf> {
        let asked = match function {
            "session_count" => Asked::Count,
            "session_length" => Asked::Length,
            "session_time" => Asked::Time,
            _ => return None,
        };
        Some(SessionsOf { gap_ms: gap_ms.unwrap_or(GAP_MS), asked })
    }

    /// One event more; true where that may be another value.
    pub fn put(&self, state: &mut Sessions, at_ms: i64) -> bool {
        let [.., begin, end] = state.0.as_mut_slice() else { return false };
        if *begin <= at_ms && at_ms < *end + self.gap_ms {
            let longer = at_ms > *end;
            *end = at_ms.max(*end);
            return longer && self.asked != Asked::Count;
        }
        self.combine(state, &Sessions::lift(at_ms));
        true
    }

    /// Both in one. Mostly `b` is one instant, after all or within the last session of `a`.
    pub fn combine(&self, a: &mut Sessions, b: &Sessions) {
        let numbers = &mut a.0;
        let at_ms = b.0[HEAD];
        let one = b.0.len() == HEAD + 2 && b.0[2] == NEVER && b.0[HEAD + 1] == at_ms;
        let size = numbers.len();
        if one && at_ms >= numbers[size - 2] {
            if at_ms < numbers[size - 1] + self.gap_ms {
                numbers[size - 1] = numbers[size - 1].max(at_ms);
            } else {
                numbers.extend([at_ms, at_ms]);
            }
        } else if !one || at_ms > numbers[2] {
            a.0 = self.joined(a, b);
        }
        settle(&mut a.0);
    }

    /// What of either lies before the other's horizon is settled with it.
    fn joined(&self, a: &Sessions, b: &Sessions) -> Vec<i64> {
        let mut all: Vec<_> = a.pairs().chain(b.pairs()).collect();
        all.sort_unstable();
        let mut joined = vec![a.0[0] + b.0[0], a.0[1] + b.0[1], a.0[2].max(b.0[2])];
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

    /// The value of a state.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // lengths of people's lives are well within 2^53 ms
    pub fn result(&self, state: Option<&Sessions>) -> Value {
        match (self.asked, state) {
            (Asked::Count, state) => Value::Int(state.map_or(0, Sessions::count)),
            (Asked::Time, None) => Value::Int(0),
            (Asked::Time, Some(state)) => Value::Float(state.whole_ms() as f64 / 1000.0),
            (Asked::Length, None) => Value::Null,
            (Asked::Length, Some(state)) => Value::Float(state.whole_ms() as f64 / (1000 * state.count()) as f64),
        }
    }
}

/// The oldest sessions are too many.
fn settle(numbers: &mut Vec<i64>) {
    while numbers.len() > HEAD + 2 * SESSIONS_MAX {
        let (begin, end) = (numbers[HEAD], numbers[HEAD + 1]);
        numbers[0] += 1;
        numbers[1] += end - begin;
        numbers[2] = end;
        numbers.drain(HEAD..HEAD + 2);
    }
}

/// Over all events.
pub struct Lifetime(pub SessionsOf);

impl Keeping for Lifetime {
    fn read(&self, stored: &mut Reader<'_>) -> Here<State> {
        Ok(State::Sessions(Sessions::read(stored)?))
    }

    fn put(&self, slot: &mut Option<State>, _given: &Value, _bits: u16, event: At<'_>, _due: &mut Due) -> Change {
        let Some(State::Sessions(state)) = slot else {
            *slot = Some(State::Sessions(Sessions::lift(event.at_ms)));
            return Change::Some;
        };
        Change::of(self.0.put(state, event.at_ms))
    }

    fn value(&self, slot: Option<&mut State>, _now_ms: i64, _due: &mut Due, _level: Option<f64>) -> Value {
        self.0.result(if let Some(State::Sessions(state)) = slot { Some(state) } else { None })
    }
}
