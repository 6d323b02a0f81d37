//! `count`: how many events there were.

use std::borrow::Cow;

use super::monoid::{Asked, Monoid};
use super::panes::States;
use super::{At, Change};
use crate::msgpack::{Reader, write_bytes, write_nil};
use crate::value::Value;
use crate::{Beyond, Here};

/// The monoid of `count`.
pub struct Count;

impl Monoid for Count {
    type Kept = i64;
    type States = Counts;

    const RUNNING: bool = true;

    fn lift(&self, _given: &Value, _event: At<'_>) -> Option<i64> {
        Some(1)
    }

    fn combine(&self, kept: &mut i64, more: i64) {
        *kept += more;
    }

    fn remove(&self, kept: &mut i64, gone: &i64) {
        *kept -= gone;
    }

    fn absorb(&self, kept: &mut i64, _given: &Value, _event: At<'_>) -> Change {
        *kept += 1;
        Change::Some
    }

    fn total<'a>(&self, states: &'a [i64]) -> Option<Cow<'a, i64>> {
        if states.is_empty() { None } else { Some(Cow::Owned(states.iter().sum())) }
    }

    fn result(&self, kept: Option<&i64>, _asked: Asked<'_>) -> Value {
        Value::Int(kept.copied().unwrap_or(0))
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<i64> {
        stored.int()
    }
}

/// Counts of a window's panes, packed in `WIDTH` bytes each; `None` where each pane counts one.
#[derive(Clone, Debug)]
pub struct Counts(Option<Vec<u8>>);

const WIDTH: usize = 4;
const ONE: [u8; WIDTH] = 1_u32.to_le_bytes();

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // no pane counts so many events
fn packed(count: i64) -> [u8; WIDTH] {
    (count as u32).to_le_bytes()
}

fn count_at(counts: &[u8], place: usize) -> i64 {
    let bytes = &counts[place * WIDTH..(place + 1) * WIDTH];
    bytes.iter().rev().fold(0, |all, byte| all << 8 | i64::from(*byte))
}

impl Counts {
    fn written_out(&mut self, size: usize) -> &mut Vec<u8> {
        self.0.get_or_insert_with(|| ONE.repeat(size))
    }
}

impl States<i64> for Counts {
    fn together(states: Vec<i64>) -> Counts {
        let each_one = states.iter().all(|state| *state == 1);
        Counts(if each_one { None } else { Some(states.into_iter().flat_map(packed).collect()) })
    }

    fn insert(&mut self, place: usize, state: i64, size: usize) {
        if state == 1 && self.0.is_none() {
            return;
        }
        let at = place * WIDTH;
        self.written_out(size).splice(at..at, packed(state));
    }

    fn change(&mut self, place: usize, size: usize, change: impl FnOnce(&mut i64)) {
        let counts = self.written_out(size);
        let mut count = count_at(counts, place);
        change(&mut count);
        counts[place * WIDTH..(place + 1) * WIDTH].copy_from_slice(&packed(count));
    }

    fn cut(&mut self, gone: usize) {
        if let Some(counts) = &mut self.0 {
            counts.drain(..gone * WIDTH);
        }
    }

    fn apart(self, size: usize) -> Vec<i64> {
        match self.0 {
            None => vec![1; size],
            Some(counts) => (0..size).map(|place| count_at(&counts, place)).collect(),
        }
    }

    fn each_of_first(&self, many: usize, mut look: impl FnMut(&i64)) {
        for place in 0..many {
            look(&self.0.as_ref().map_or(1, |counts| count_at(counts, place)));
        }
    }

    fn total<M: Monoid<Kept = i64>>(&self, _monoid: &M) -> Option<Cow<'_, i64>> {
        None // the running total says it
    }

    fn read<M: Monoid<Kept = i64>>(stored: &mut Reader<'_>, size: usize, _monoid: &M) -> Here<Counts> {
        if stored.peek()? == 0xc0 {
            stored.nil()?;
            return Ok(Counts(None));
        }
        let counts = stored.bytes()?;
        if counts.len() == size * WIDTH { Ok(Counts(Some(counts.into()))) } else { Err(Beyond) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            None => write_nil(out),
            Some(counts) => write_bytes(out, counts),
        }
    }
}
