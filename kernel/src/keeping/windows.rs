//! Sliding windows over event time: exact to the millisecond, of bounded size (`onefold.language.keeping.windows`).

use super::monoid::{Asked, Kept, Monoid};
use super::panes::{Panes, States};
use super::{At, Change, Due, Expiry, Keeping, NEVER_MS, State};
use crate::msgpack::{Reader, write_nil};
use crate::value::Value;
use crate::{Beyond, Here};

/// An aggregate over the events of the last so many milliseconds.
pub struct Sliding<M> {
    monoid: M,
    within_ms: i64,
}

/// Panes, and the state over all of them where states can be taken out again.
#[derive(Clone, Debug)]
pub struct Window<K, S> {
    panes: Panes<S>,
    running: Option<K>,
}

impl<K: Kept, S: States<K>> Kept for Window<K, S> {
    fn write(&self, out: &mut Vec<u8>) {
        self.panes.write(out, |out| match &self.running {
            None => write_nil(out),
            Some(total) => total.write(out),
        });
    }

    fn touch(&self) -> usize {
        self.panes.touch()
    }
}

impl<M: Monoid> Sliding<M> {
    pub fn new(monoid: M, within_ms: i64) -> Sliding<M> {
        Sliding { monoid, within_ms }
    }

    fn begun(&self, at_ms: i64, state: M::Kept) -> Window<M::Kept, M::States> {
        let running = M::RUNNING.then(|| state.clone());
        Window { panes: Panes::begin(at_ms, state, self.within_ms, 1), running }
    }

    fn add(&self, window: &mut Window<M::Kept, M::States>, at_ms: i64, state: M::Kept) {
        if let Some(total) = &mut window.running {
            self.monoid.combine(total, state.clone());
        }
        window.panes.add(at_ms, state, self.within_ms, &|kept: &mut M::Kept, more| self.monoid.combine(kept, more));
    }
}

impl<M: Monoid> Sliding<M> {
    /// Drop what has left the window.
    fn cut(&self, window: &mut Window<M::Kept, M::States>, now_ms: i64) {
        let Window { panes, running } = window;
        let gone = panes.gone(now_ms, self.within_ms);
        if gone == 0 {
            return;
        }
        if let Some(total) = running {
            panes.states.each_of_first(gone, |state| self.monoid.remove(total, state));
        }
        panes.cut(gone);
    }
}

impl<M: Monoid> Keeping for Sliding<M> {
    fn read(&self, stored: &mut Reader<'_>) -> Here<State> {
        let total = |stored: &mut Reader<'_>| {
            if M::RUNNING { self.monoid.read(stored).map(Some) } else { stored.nil().map(|()| None) }
        };
        let (panes, running) = Panes::<M::States>::read(stored, &self.monoid, total)?;
        Ok(Window::<M::Kept, M::States> { panes, running }.into_state())
    }

    fn put(&self, slot: &mut Option<State>, given: &Value, _bits: u16, event: At<'_>, due: &mut Due) -> Change {
        let Some(lifted) = self.monoid.lift(given, event) else { return Change::None };
        match slot {
            None => *slot = Some(self.begun(event.at_ms, lifted).into_state()),
            Some(state) => {
                let Some(window) = Window::of(state) else { return Change::None };
                self.add(window, event.at_ms, lifted);
            }
        }
        due.by(event.at_ms + self.within_ms);
        Change::Some
    }

    fn value(&self, slot: Option<&mut State>, now_ms: i64, due: &mut Due, level: Option<f64>) -> Value {
        let asked = Asked { now_ms, due, level };
        let Some(window) = slot.and_then(Window::<M::Kept, M::States>::of) else {
            return self.monoid.result(None, asked);
        };
        if M::RUNNING {
            return self.monoid.result(window.running.as_ref(), asked);
        }
        self.monoid.result(window.panes.states.total(&self.monoid).as_deref(), asked)
    }

    fn merge(&self, mine: &mut State, theirs: &mut State) -> Here<()> {
        let mine = Window::<M::Kept, M::States>::of(mine).ok_or(Beyond)?;
        let mut theirs = Window::<M::Kept, M::States>::of(theirs).ok_or(Beyond)?.clone();
        if mine.panes.size() == 0 || theirs.panes.size() == 0 {
            return Err(Beyond);
        }
        if mine.panes.quantum_ms < theirs.panes.quantum_ms {
            std::mem::swap(mine, &mut theirs);
        }
        if let (Some(total), Some(more)) = (&mut mine.running, theirs.running) {
            self.monoid.combine(total, more);
        }
        let combine = |kept: &mut M::Kept, more| self.monoid.combine(kept, more);
        mine.panes.merge(theirs.panes, self.within_ms, &combine);
        Ok(())
    }

    fn expiry(&self) -> Expiry {
        Expiry::Here
    }

    fn gone_ms(&self, state: &mut State) -> i64 {
        let window = Window::<M::Kept, M::States>::of(state);
        window.map_or(NEVER_MS, |window| window.panes.first_gone_ms(self.within_ms))
    }

    fn expire(&self, state: &mut State, now_ms: i64) -> bool {
        let Some(window) = Window::of(state) else { return false };
        self.cut(window, now_ms);
        window.panes.size() == 0
    }
}
