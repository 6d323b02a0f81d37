//! An aggregate as a commutative monoid (`onefold.language.keeping.aggregates.Monoid`), whatever window it is over.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;

use super::panes::States;
use super::{At, Change, Due, State};
use crate::Here;
use crate::msgpack::Reader;
use crate::value::Value;

/// A state that is kept in a slot: of a monoid, or a window of such states.
pub trait Kept: Clone + Debug + Send + Sync + 'static {
    /// Append its msgpack.
    fn write(&self, out: &mut Vec<u8>);

    /// Look at what an event that comes will change (`State::touch`).
    fn touch(&self) -> usize {
        0
    }

    /// It as what a slot holds.
    fn into_state(self) -> State {
        State::Kept(Box::new(self))
    }

    /// What a slot holds as this kind of state, if it is.
    fn of(state: &mut State) -> Option<&mut Self> {
        match state {
            State::Kept(kept) => (&mut **kept as &mut dyn Any).downcast_mut(),
            _ => None,
        }
    }
}

/// Some kind of kept state.
pub trait AnyKept: Any + Debug + Send + Sync {
    fn write_to(&self, out: &mut Vec<u8>);
    fn touch_it(&self) -> usize;
    fn copied(&self) -> Box<dyn AnyKept>;
}

impl<K: Kept> AnyKept for K {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    fn touch_it(&self) -> usize {
        self.touch()
    }

    fn copied(&self) -> Box<dyn AnyKept> {
        Box::new(self.clone())
    }
}

/// How one event becomes a state, how two states become one, and what value a state stands for.
pub trait Monoid: Send + Sync + 'static {
    /// Its states.
    type Kept: Kept;
    /// Those of a sliding window's panes.
    type States: States<Self::Kept>;

    /// Whether states can be taken out of others again: then a sliding window has a running total.
    const RUNNING: bool = false;

    /// One event as a state; `None`: it does not count.
    fn lift(&self, given: &Value, event: At<'_>) -> Option<Self::Kept>;

    /// Two states as one.
    fn combine(&self, kept: &mut Self::Kept, more: Self::Kept);

    /// Takes a state out again, where the monoid is `RUNNING`.
    fn remove(&self, _kept: &mut Self::Kept, _gone: &Self::Kept) {}

    /// One event into a state over all events; whether its value may be another.
    fn absorb(&self, kept: &mut Self::Kept, given: &Value, event: At<'_>) -> Change {
        match self.lift(given, event) {
            None => Change::None,
            Some(lifted) => {
                self.combine(kept, lifted);
                Change::Some
            }
        }
    }

    /// The states of panes, in time order, as one; `None` where there are none.
    fn total<'a>(&self, states: &'a [Self::Kept]) -> Option<Cow<'a, Self::Kept>>;

    /// The value that a state stands for, or that there is over nothing; see `Keeping::value`.
    fn result(&self, kept: Option<&Self::Kept>, asked: Asked<'_>) -> Value;

    /// The state in these bytes.
    fn read(&self, stored: &mut Reader<'_>) -> Here<Self::Kept>;
}

/// States as one, each added to a copy of the first; `None` where there are none.
pub fn together<K: Clone>(states: &[K], add: impl Fn(&mut K, &K)) -> Option<Cow<'_, K>> {
    let (first, rest) = states.split_first()?;
    if rest.is_empty() {
        return Some(Cow::Borrowed(first));
    }
    let mut total = first.clone();
    for state in rest {
        add(&mut total, state);
    }
    Some(Cow::Owned(total))
}

/// When a value is asked for, and what for; only values that move with time look at it.
pub struct Asked<'a> {
    pub now_ms: i64,
    pub due: &'a mut Due,
    /// The number that the value is only compared with, if so.
    pub level: Option<f64>,
}

impl Kept for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        crate::msgpack::write_int(out, *self);
    }

    fn into_state(self) -> State {
        State::Int(self)
    }

    fn of(state: &mut State) -> Option<&mut i64> {
        if let State::Int(number) = state { Some(number) } else { None }
    }
}
