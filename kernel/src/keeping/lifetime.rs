//! Aggregates over all events of a person.

use super::monoid::{Asked, Kept, Monoid};
use super::{At, Change, Due, Expiry, Keeping, State};
use crate::msgpack::Reader;
use crate::value::Value;
use crate::{Beyond, Here};

/// The state of the monoid itself.
pub struct Lifetime<M>(pub M);

impl<M: Monoid> Keeping for Lifetime<M> {
    fn read(&self, stored: &mut Reader<'_>) -> Here<State> {
        self.0.read(stored).map(Kept::into_state)
    }

    fn put(&self, slot: &mut Option<State>, given: &Value, _bits: u16, event: At<'_>, _due: &mut Due) -> Change {
        if let Some(state) = slot {
            return M::Kept::of(state).map_or(Change::None, |kept| self.0.absorb(kept, given, event));
        }
        let Some(lifted) = self.0.lift(given, event) else { return Change::None };
        *slot = Some(lifted.into_state());
        Change::Some
    }

    fn value(&self, slot: Option<&mut State>, now_ms: i64, due: &mut Due, level: Option<f64>) -> Value {
        self.0.result(slot.and_then(M::Kept::of).map(|kept| &*kept), Asked { now_ms, due, level })
    }

    fn merge(&self, mine: &mut State, theirs: &mut State) -> Here<()> {
        let (Some(mine), Some(theirs)) = (M::Kept::of(mine), M::Kept::of(theirs)) else { return Err(Beyond) };
        self.0.combine(mine, theirs.clone());
        Ok(())
    }

    fn expiry(&self) -> Expiry {
        Expiry::Never
    }
}
