//! Panes of a window over event time, in order: their times packed, and a state of each (`keeping.windows`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Debug;

use smallvec::SmallVec;

use super::NEVER_MS;
use super::monoid::{Kept, Monoid};
use crate::msgpack::{Reader, write_bytes, write_int, write_list};
use crate::{Beyond, Here};

/// Instants that a window keeps to the millisecond; beyond, its resolution halves until they fit
/// (`onefold.limits.WINDOW_PANES_MAX`).
pub const PANES_MAX: usize = 1_024;
/// Bytes of a time; twice as many where those do not reach.
const WIDTH: usize = 4;
const REACH_MS: i64 = 1 << (8 * WIDTH);

/// Packed times; of few panes without an allocation of their own, in as much room as one takes that has it.
type Times = SmallVec<[u8; 16]>;

/// The states of panes, one after the other. `size`: how many panes there are before the change.
pub trait States<K>: Clone + Debug + Send + Sync + 'static {
    /// States of panes in order.
    fn together(states: Vec<K>) -> Self;

    fn insert(&mut self, place: usize, state: K, size: usize);

    fn change(&mut self, place: usize, size: usize, change: impl FnOnce(&mut K));

    /// Let go of the first ones.
    fn cut(&mut self, gone: usize);

    /// Each by itself.
    fn apart(self, size: usize) -> Vec<K>;

    /// Look at the first ones.
    fn each_of_first(&self, many: usize, look: impl FnMut(&K));

    /// All as one.
    fn total<M: Monoid<Kept = K>>(&self, monoid: &M) -> Option<Cow<'_, K>>
    where
        K: Clone;

    /// Those of so many panes.
    fn read<M: Monoid<Kept = K>>(stored: &mut Reader<'_>, size: usize, monoid: &M) -> Here<Self>;

    fn write(&self, out: &mut Vec<u8>);
}

impl<K: Kept> States<K> for Vec<K> {
    fn together(states: Vec<K>) -> Vec<K> {
        states
    }

    fn insert(&mut self, place: usize, state: K, _size: usize) {
        self.insert(place, state);
    }

    fn change(&mut self, place: usize, _size: usize, change: impl FnOnce(&mut K)) {
        change(&mut self[place]);
    }

    fn cut(&mut self, gone: usize) {
        self.drain(..gone);
    }

    fn apart(self, _size: usize) -> Vec<K> {
        self
    }

    fn each_of_first(&self, many: usize, look: impl FnMut(&K)) {
        self[..many].iter().for_each(look);
    }

    fn total<M: Monoid<Kept = K>>(&self, monoid: &M) -> Option<Cow<'_, K>> {
        monoid.total(self)
    }

    fn read<M: Monoid<Kept = K>>(stored: &mut Reader<'_>, size: usize, monoid: &M) -> Here<Vec<K>> {
        if stored.list()? != size {
            return Err(Beyond);
        }
        (0..size).map(|_| monoid.read(stored)).collect()
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, self.len());
        for state in self {
            state.write(out);
        }
    }
}

/// The panes of one window.
#[derive(Clone, Debug)]
pub struct Panes<S> {
    /// Each is this long, and begins at a multiple of it.
    pub quantum_ms: i64,
    base_ms: i64,
    /// When the last one begins that there was.
    pub last_ms: i64,
    /// Times since `base_ms`, in `width` bytes each.
    times: Times,
    width: usize,
    pub states: S,
}

impl<S> Panes<S> {
    /// How many there are.
    pub fn size(&self) -> usize {
        self.times.len() / self.width
    }

    /// `Kept::touch`.
    pub fn touch(&self) -> usize {
        self.times.last().map_or(0, |time| usize::from(*time))
    }

    fn offset(&self, place: usize) -> i64 {
        let times = &self.times[place * self.width..];
        if self.width == WIDTH {
            times.first_chunk().map_or(0, |bytes| i64::from(u32::from_le_bytes(*bytes)))
        } else {
            times.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
        }
    }

    /// When a pane begins.
    pub fn time_ms(&self, place: usize) -> i64 {
        self.base_ms + self.offset(place)
    }

    /// The place of the first pane that does not begin before this.
    pub fn place(&self, at_ms: i64) -> usize {
        let offset = at_ms.saturating_sub(self.base_ms);
        let (mut low, mut high) = (0, self.size());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.offset(middle) < offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// When the last instant of the first pane is over that long ago; `NEVER_MS` where there is none.
    pub fn first_gone_ms(&self, within_ms: i64) -> i64 {
        if self.times.is_empty() { NEVER_MS } else { self.time_ms(0) + self.quantum_ms - 1 + within_ms }
    }

    /// How many panes, of which no instant is left, are out of a window of this length.
    pub fn gone(&self, now_ms: i64, within_ms: i64) -> usize {
        self.place(now_ms - within_ms - self.quantum_ms + 2)
    }

    fn fits(&self, pane_ms: i64) -> bool {
        pane_ms >= self.base_ms && (self.width != WIDTH || pane_ms - self.base_ms < REACH_MS)
    }

    fn pack(&mut self, at: usize, pane_ms: i64) {
        let packed = (pane_ms - self.base_ms).to_le_bytes();
        if at == self.times.len() {
            self.times.extend_from_slice(&packed[..self.width]);
        } else {
            self.times.insert_from_slice(at, &packed[..self.width]);
        }
    }

    /// Set the times, in order, so that one at `coming_ms` can follow.
    fn fill(&mut self, times: &[i64], within_ms: i64, coming_ms: i64) {
        let last_ms = times.last().copied().unwrap_or(coming_ms);
        let first_ms = times.first().copied().unwrap_or(coming_ms);
        let latest_ms = last_ms.max(coming_ms);
        self.base_ms = first_ms.min(coming_ms).min(latest_ms - within_ms - self.quantum_ms);
        self.last_ms = last_ms;
        self.width = if latest_ms - self.base_ms < REACH_MS { WIDTH } else { 2 * WIDTH };
        self.times.clear();
        for time_ms in times {
            self.pack(self.times.len(), *time_ms);
        }
    }
}

impl<S> Panes<S> {
    /// Panes with one event in them.
    pub fn begin<K>(at_ms: i64, state: K, within_ms: i64, quantum_ms: i64) -> Panes<S>
    where
        S: States<K>,
    {
        let pane_ms = at_ms - at_ms.rem_euclid(quantum_ms);
        let span_ms = within_ms + quantum_ms;
        let width = if span_ms < REACH_MS { WIDTH } else { 2 * WIDTH };
        let base_ms = pane_ms - span_ms;
        let times = Times::new();
        let mut panes = Panes { quantum_ms, base_ms, last_ms: pane_ms, times, width, states: S::together(vec![state]) };
        panes.pack(0, pane_ms);
        panes
    }

    /// One event more.
    pub fn add<K>(&mut self, at_ms: i64, state: K, within_ms: i64, combine: &impl Fn(&mut K, K))
    where
        S: States<K>,
    {
        let pane_ms = at_ms - at_ms.rem_euclid(self.quantum_ms);
        if !self.fits(pane_ms) {
            let times: Vec<i64> = (0..self.size()).map(|place| self.time_ms(place)).collect();
            self.fill(&times, within_ms, pane_ms);
        }
        self.put(pane_ms, state, combine);
        if self.size() > PANES_MAX {
            self.coarsen(within_ms, combine);
        }
    }

    fn put<K>(&mut self, pane_ms: i64, state: K, combine: &impl Fn(&mut K, K))
    where
        S: States<K>,
    {
        let size = self.size();
        let place = match pane_ms {
            _ if pane_ms > self.last_ms => size,
            _ if pane_ms == self.last_ms && size > 0 => size - 1,
            _ => self.place(pane_ms),
        };
        if place < size && self.time_ms(place) == pane_ms {
            self.states.change(place, size, |kept| combine(kept, state));
            return;
        }
        self.states.insert(place, state, size);
        self.last_ms = self.last_ms.max(pane_ms);
        self.pack(place * self.width, pane_ms);
    }

    /// All of other panes, which are no coarser; neither are none.
    pub fn merge<K>(&mut self, finer: Panes<S>, within_ms: i64, combine: &impl Fn(&mut K, K))
    where
        S: States<K>,
    {
        let mut found: BTreeMap<i64, K> = self.take_apart().into_iter().collect();
        for (at_ms, state) in { finer }.take_apart() {
            match found.entry(at_ms - at_ms.rem_euclid(self.quantum_ms)) {
                Entry::Occupied(mut kept) => combine(kept.get_mut(), state),
                Entry::Vacant(pane) => drop(pane.insert(state)),
            }
        }
        self.set(found.into_iter().collect(), within_ms);
        if self.size() > PANES_MAX {
            self.coarsen(within_ms, combine);
        }
    }

    fn take_apart<K>(&mut self) -> Vec<(i64, K)>
    where
        S: States<K>,
    {
        let times: Vec<i64> = (0..self.size()).map(|place| self.time_ms(place)).collect();
        let states = std::mem::replace(&mut self.states, S::together(Vec::new())).apart(times.len());
        times.into_iter().zip(states).collect()
    }

    fn set<K>(&mut self, found: Vec<(i64, K)>, within_ms: i64)
    where
        S: States<K>,
    {
        let (times, states): (Vec<i64>, Vec<K>) = found.into_iter().unzip();
        self.states = S::together(states);
        let last_ms = times.last().copied().unwrap_or(self.last_ms);
        self.fill(&times, within_ms, last_ms);
    }

    fn coarsen<K>(&mut self, within_ms: i64, combine: &impl Fn(&mut K, K))
    where
        S: States<K>,
    {
        let mut found = self.take_apart();
        while found.len() > PANES_MAX {
            self.quantum_ms *= 2;
            found = coarser(found, self.quantum_ms, combine);
        }
        self.set(found, within_ms);
    }

    /// Let go of the first ones.
    pub fn cut<K>(&mut self, gone: usize)
    where
        S: States<K>,
    {
        self.times.drain(..gone * self.width);
        self.states.cut(gone);
    }

    /// Panes as `write` has them, with whatever stands for `total` between.
    pub fn read<M, T>(
        stored: &mut Reader<'_>,
        monoid: &M,
        total: impl FnOnce(&mut Reader<'_>) -> Here<T>,
    ) -> Here<(Panes<S>, T)>
    where
        M: Monoid,
        S: States<M::Kept>,
    {
        if stored.list()? != 7 {
            return Err(Beyond);
        }
        let (quantum_ms, base_ms, last_ms) = (stored.int()?, stored.int()?, stored.int()?);
        let times = Times::from_slice(stored.bytes()?);
        // The width comes last, the states' number from it: every other way to read would go over them twice.
        let mut behind = *stored;
        behind.raw()?;
        behind.raw()?;
        let width = usize::try_from(behind.int()?).map_err(|_| Beyond)?;
        if quantum_ms < 1 || !(width == WIDTH || width == 2 * WIDTH) || !times.len().is_multiple_of(width) {
            return Err(Beyond);
        }
        let states = S::read(stored, times.len() / width, monoid)?;
        let total = total(stored)?;
        *stored = behind;
        Ok((Panes { quantum_ms, base_ms, last_ms, times, width, states }, total))
    }

    /// Append their msgpack, with whatever stands for the total between.
    pub fn write<K>(&self, out: &mut Vec<u8>, total: impl FnOnce(&mut Vec<u8>))
    where
        S: States<K>,
    {
        write_list(out, 7);
        write_int(out, self.quantum_ms);
        write_int(out, self.base_ms);
        write_int(out, self.last_ms);
        write_bytes(out, &self.times);
        self.states.write(out);
        total(out);
        out.push(if self.width == WIDTH { 4 } else { 8 });
    }
}

fn coarser<K>(finer: Vec<(i64, K)>, quantum_ms: i64, combine: &impl Fn(&mut K, K)) -> Vec<(i64, K)> {
    let mut found: Vec<(i64, K)> = Vec::with_capacity(finer.len());
    for (at_ms, state) in finer {
        let pane_ms = at_ms - at_ms.rem_euclid(quantum_ms);
        match found.last_mut() {
            Some((time_ms, kept)) if *time_ms == pane_ms => combine(kept, state),
            _ => found.push((pane_ms, state)),
        }
    }
    found
}
