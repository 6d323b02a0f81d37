//! Windows of which only a stretch is asked for (`onefold.language.keeping.stretches`).

use std::borrow::Cow;

use super::monoid::{Asked, Kept, Monoid};
use super::panes::Panes;
use super::{At, Change, Due, Expiry, Keeping, NEVER_MS, State};
use crate::msgpack::{Reader, write_int, write_list, write_nil};
use crate::value::Value;
use crate::{Beyond, Here};

/// How the windows of one aggregate are kept.
pub struct Stretches<M> {
    pub monoid: M,
    within_ms: i64,
    quantum_ms: i64,
}

/// Panes, and from when until when what was asked for last, with the state over that.
#[derive(Clone, Debug)]
pub struct Window<K> {
    panes: Panes<Vec<K>>,
    asked: Option<(i64, i64, K)>,
}

impl<K: Kept> Kept for Window<K> {
    fn write(&self, out: &mut Vec<u8>) {
        self.panes.write(out, |out| match &self.asked {
            None => write_nil(out),
            Some((start_ms, end_ms, total)) => {
                write_list(out, 3);
                write_int(out, *start_ms);
                write_int(out, *end_ms);
                total.write(out);
            }
        });
    }

    fn touch(&self) -> usize {
        self.panes.touch()
    }
}

impl<K> Window<K> {
    /// How long each pane is.
    pub fn quantum_ms(&self) -> i64 {
        self.panes.quantum_ms
    }

    /// No pane is left.
    pub fn is_empty(&self) -> bool {
        self.panes.size() == 0
    }

    fn places(&self, start_ms: i64, end_ms: i64) -> (usize, usize) {
        (self.panes.place(start_ms), self.panes.place(end_ms))
    }

    fn was_asked(&self, start_ms: i64, end_ms: i64) -> bool {
        self.asked.as_ref().is_some_and(|asked| (asked.0, asked.1) == (start_ms, end_ms))
    }
}

impl<M: Monoid> Stretches<M> {
    pub fn new(monoid: M, within_ms: i64, quantum_ms: i64) -> Stretches<M> {
        Stretches { monoid, within_ms, quantum_ms }
    }

    pub fn read(&self, stored: &mut Reader<'_>) -> Here<State> {
        let total = |stored: &mut Reader<'_>| {
            if stored.peek()? == 0xc0 {
                return stored.nil().map(|()| None);
            }
            if !M::RUNNING || stored.list()? != 3 {
                return Err(Beyond);
            }
            Ok(Some((stored.int()?, stored.int()?, self.monoid.read(stored)?)))
        };
        let (panes, asked) = Panes::<Vec<M::Kept>>::read(stored, &self.monoid, total)?;
        Ok(Window { panes, asked }.into_state())
    }

    /// One event into a slot.
    pub fn put(&self, slot: &mut Option<State>, lifted: M::Kept, at_ms: i64) {
        match slot {
            None => {
                let panes = Panes::begin(at_ms, lifted, self.within_ms, self.quantum_ms);
                *slot = Some(Window { panes, asked: None }.into_state());
            }
            Some(state) => {
                if let Some(window) = Window::of(state) {
                    self.add(window, lifted, at_ms);
                }
            }
        }
    }

    fn add(&self, window: &mut Window<M::Kept>, lifted: M::Kept, at_ms: i64) {
        let quantum_ms = window.panes.quantum_ms;
        let pane_ms = at_ms - at_ms.rem_euclid(quantum_ms);
        let of_asked = match &mut window.asked {
            Some((start_ms, end_ms, total)) if *start_ms <= pane_ms && pane_ms < *end_ms => {
                Some((total, lifted.clone()))
            }
            _ => None,
        };
        window.panes.add(at_ms, lifted, self.within_ms, &|kept: &mut M::Kept, more| self.monoid.combine(kept, more));
        if window.panes.quantum_ms != quantum_ms {
            window.asked = None;
        } else if let Some((total, lifted)) = of_asked {
            self.monoid.combine(total, lifted);
        }
    }

    /// The state over the panes that begin in [start, end); `None` where none does.
    pub fn total<'a>(&self, window: &'a mut Window<M::Kept>, start_ms: i64, end_ms: i64) -> Option<Cow<'a, M::Kept>> {
        if !window.was_asked(start_ms, end_ms) {
            let (first, last) = window.places(start_ms, end_ms);
            if first == last {
                window.asked = None;
                return None;
            }
            if !M::RUNNING {
                let states = &window.panes.states[first..last];
                return if let [one] = states { Some(Cow::Borrowed(one)) } else { self.monoid.total(states) };
            }
            self.ask(window, (start_ms, end_ms), (first, last));
        }
        window.asked.as_ref().map(|(_, _, total)| Cow::Borrowed(total))
    }

    /// Let go of the panes that begin before this.
    pub fn drop_before(&self, window: &mut Window<M::Kept>, before_ms: i64) {
        if let Some((start_ms, end_ms, _)) = &window.asked
            && *start_ms < before_ms
        {
            let end_ms = before_ms.max(*end_ms);
            drop(self.total(window, before_ms, end_ms));
        }
        window.panes.cut(window.panes.place(before_ms));
    }

    /// Move what was asked for on to another stretch, which has these panes.
    fn ask(&self, window: &mut Window<M::Kept>, stretch: (i64, i64), places: (usize, usize)) {
        let ((start_ms, end_ms), (first, last)) = (stretch, places);
        let total = match window.asked.take() {
            Some((was_start_ms, was_end_ms, mut total))
                if was_start_ms <= start_ms && start_ms <= was_end_ms && was_end_ms <= end_ms =>
            {
                let (was_first, was_last) = window.places(was_start_ms, was_end_ms);
                for state in &window.panes.states[was_first..first] {
                    self.monoid.remove(&mut total, state);
                }
                for state in &window.panes.states[was_last..last] {
                    self.monoid.combine(&mut total, state.clone());
                }
                Some(total)
            }
            _ => self.monoid.total(&window.panes.states[first..last]).map(Cow::into_owned),
        };
        window.asked = total.map(|total| (start_ms, end_ms, total));
    }
}

/// Windows over (now - within, now - until].
pub struct Between<M> {
    stretches: Stretches<M>,
    within_ms: i64,
    until_ms: i64,
}

impl<M: Monoid> Between<M> {
    pub fn new(monoid: M, within_ms: i64, until_ms: i64) -> Between<M> {
        Between { stretches: Stretches::new(monoid, within_ms, 1), within_ms, until_ms }
    }

    /// The state over the window at an instant; arms for when the next event comes into it. (When one leaves it, expiry
    /// does.)
    fn state<'a>(&self, window: &'a mut Window<M::Kept>, now_ms: i64, due: &mut Due) -> Option<Cow<'a, M::Kept>> {
        if window.is_empty() {
            return None;
        }
        let quantum_ms = window.panes.quantum_ms;
        // A pane has come into the window when its last instant has.
        let edge_ms = now_ms - self.until_ms - quantum_ms + 2;
        let coming = window.panes.place(edge_ms);
        if coming < window.panes.size() {
            due.by(window.panes.time_ms(coming) + quantum_ms - 1 + self.until_ms);
        }
        self.stretches.total(window, now_ms - self.within_ms - quantum_ms + 2, edge_ms)
    }
}

impl<M: Monoid> Keeping for Between<M> {
    fn read(&self, stored: &mut Reader<'_>) -> Here<State> {
        self.stretches.read(stored)
    }

    fn put(&self, slot: &mut Option<State>, given: &Value, _bits: u16, event: At<'_>, due: &mut Due) -> Change {
        let Some(lifted) = self.stretches.monoid.lift(given, event) else { return Change::None };
        self.stretches.put(slot, lifted, event.at_ms);
        if event.at_ms + self.until_ms <= event.now_ms {
            due.by(event.at_ms + self.within_ms);
            return Change::Some;
        }
        due.by(event.at_ms + self.until_ms);
        Change::None
    }

    fn value(&self, slot: Option<&mut State>, now_ms: i64, due: &mut Due, level: Option<f64>) -> Value {
        let state = slot.and_then(Window::of).and_then(|window| self.state(window, now_ms, due));
        self.stretches.monoid.result(state.as_deref(), Asked { now_ms, due, level })
    }

    fn expiry(&self) -> Expiry {
        Expiry::Here
    }

    fn gone_ms(&self, state: &mut State) -> i64 {
        Window::<M::Kept>::of(state).map_or(NEVER_MS, |window| window.panes.first_gone_ms(self.within_ms))
    }

    fn expire(&self, state: &mut State, now_ms: i64) -> bool {
        let Some(window) = Window::of(state) else { return false };
        let before_ms = now_ms - self.within_ms - window.panes.quantum_ms + 2;
        self.stretches.drop_before(window, before_ms);
        window.is_empty()
    }
}
