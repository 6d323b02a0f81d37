//! A sequence's walk: what is known of its chains as of an instant, and what the events of the next one add to that
//! (`onefold.language.keeping.walks`, which explains why this is all that has to be known).
//!
//! A *front* is `[time, bits, end …, begin …, unwanted …]`, as Python keeps it. Times are biased.

use super::{Bits, NEVER_MS};

/// A time before all others.
pub const NEVER: i64 = 0;
/// Bits of one sequence: each is a bit of a byte.
pub const STEPS_MAX: usize = 8;

/// What a walk over events in order of time knows.
pub type Front = Box<[i64]>;

/// A step that is not negated.
#[derive(Clone, Debug)]
pub struct Stage {
    pub bit: Bits,
    /// Bits of the negated steps between the one before and this.
    pub unwanted: Bits,
    /// It comes sooner than this after the one before.
    pub within_ms: i64,
}

/// A sequence as its walk needs it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub stages: Vec<Stage>,
    pub within_ms: i64,
    /// Bits of the negated steps at the end.
    pub silent: Bits,
    pub silent_ms: i64,
}

/// Events in order of time.
pub trait Events {
    fn len(&self) -> usize;
    /// When the event of this number was.
    fn at(&self, place: usize) -> i64;
    /// Of which steps it is.
    fn bits(&self, place: usize) -> Bits;

    /// The first event of this one's instant.
    fn first_of_instant(&self, place: usize) -> usize {
        let at = self.at(place);
        let mut first = place;
        while first > 0 && self.at(first - 1) == at {
            first -= 1;
        }
        first
    }
}

impl Plan {
    /// The plan of steps, each with what is the most time after the one before, and whether it is negated.
    pub fn of(steps: &[(Option<i64>, bool)], within_ms: Option<i64>) -> Option<Plan> {
        if steps.is_empty() || steps.len() > STEPS_MAX {
            return None;
        }
        let (mut stages, mut unwanted) = (Vec::new(), 0);
        for (number, (within_ms, negated)) in steps.iter().enumerate() {
            let bit = 1 << number;
            if *negated {
                unwanted |= bit;
            } else {
                stages.push(Stage { bit, unwanted, within_ms: within_ms.unwrap_or(NEVER_MS) });
                unwanted = 0;
            }
        }
        let silent_ms = if unwanted == 0 { 0 } else { steps.last()?.0.unwrap_or(0) };
        let within_ms = within_ms.unwrap_or(NEVER_MS);
        (!stages.is_empty()).then_some(Plan { stages, within_ms, silent: unwanted, silent_ms })
    }

    /// The bit of the step that completes a chain.
    pub fn last(&self) -> Bits {
        self.stages[self.stages.len() - 1].bit
    }

    /// How many numbers a front has.
    pub fn width(&self) -> usize {
        2 + 3 * self.stages.len()
    }

    /// The front before any event.
    pub fn start(&self) -> Front {
        vec![NEVER; self.width()].into()
    }

    /// Whether an event of this instant goes on with the chain that ends at the stage before.
    ///
    /// Where no chain does, its end is so long ago that it is within nothing.
    fn fits(&self, front: &[i64], i: usize, at: i64) -> bool {
        if i == 0 {
            return true;
        }
        let (stage, count) = (&self.stages[i], self.stages.len());
        let end = front[1 + i];
        end < at
            && at < end + stage.within_ms
            && (stage.unwanted == 0 || front[2 + 2 * count + i] <= end)
            && (self.within_ms >= NEVER_MS || at < front[1 + count + i] + self.within_ms)
    }

    /// Move the front by all events of an instant, later than those before; true where that completes a chain.
    ///
    /// Stages are gone through from the last to the first, so that none sees what this instant changes.
    pub fn take(&self, front: &mut [i64], at: i64, bits: Bits) -> bool {
        let (count, mut done) = (self.stages.len(), false);
        for (i, stage) in self.stages.iter().enumerate().rev() {
            if bits & stage.bit != 0 && self.fits(front, i, at) {
                front[2 + i] = at;
                front[2 + count + i] = if i == 0 { at } else { front[1 + count + i] };
                done |= i + 1 == count;
            }
            if bits & stage.unwanted != 0 {
                front[2 + 2 * count + i] = at;
            }
        }
        done
    }

    /// Whether a last step then would complete a chain; the front is as of before that instant.
    pub fn completes(&self, front: &[i64], at: i64) -> bool {
        self.fits(front, self.stages.len() - 1, at)
    }

    /// Move the front by one event that is no earlier than it; true where that completes a chain.
    pub fn advance(&self, front: &mut [i64], now: i64, bits: Bits) -> bool {
        if now > front[0] {
            self.take(front, front[0], low_byte(front[1]));
            front[0] = now;
            front[1] = i64::from(bits);
        } else {
            front[1] |= i64::from(bits);
        }
        bits & self.last() != 0 && self.completes(front, now)
    }
}

fn low_byte(bits: i64) -> Bits {
    bits.to_le_bytes()[0]
}

/// The front as of before the event numbered `until`, the first of its instant.
///
/// `gone`: the front before the first event. Costs as many events as it has to look back, and never more than all of
/// them once for each stage.
pub fn behind(plan: &Plan, events: &impl Events, until: usize, gone: &[i64]) -> Front {
    let mut back = Back { plan, events, gone, reached: [None; STEPS_MAX], unwanted: [None; STEPS_MAX] };
    let (mut front, count) = (plan.start(), plan.stages.len());
    for i in 0..count {
        (front[2 + i], front[2 + count + i]) = back.reached(i, until);
    }
    for i in 0..count {
        front[2 + 2 * count + i] = back.unwanted(i, until);
    }
    front
}

/// Looks back from event to event. Of each stage it remembers its latest answer, and for which events that holds.
struct Back<'a, E: Events> {
    plan: &'a Plan,
    events: &'a E,
    gone: &'a [i64],
    /// The same before every event from the first number to the second: end and begin.
    reached: [Option<(usize, usize, i64, i64)>; STEPS_MAX],
    unwanted: [Option<(usize, usize, i64)>; STEPS_MAX],
}

impl<E: Events> Back<'_, E> {
    /// The latest end of a chain up to this stage before this event, and the chain's latest beginning.
    fn reached(&mut self, i: usize, until: usize) -> (i64, i64) {
        if let Some((low, high, end, begin)) = self.reached[i]
            && (low..=high).contains(&until)
        {
            return (end, begin);
        }
        let (low, end, begin) = self.find(i, until);
        self.reached[i] = Some((low, until, end, begin));
        (end, begin)
    }

    fn find(&mut self, i: usize, until: usize) -> (usize, i64, i64) {
        let (plan, events) = (self.plan, self.events);
        let stage = &plan.stages[i];
        let mut place = until;
        while place > 0 {
            place -= 1;
            if events.bits(place) & stage.bit == 0 {
                continue;
            }
            let at = events.at(place);
            if i == 0 {
                return (place + 1, at, at);
            }
            let first = events.first_of_instant(place);
            let (end, begin) = self.reached(i - 1, first);
            let fits = end < at && at < end + stage.within_ms && at < begin + plan.within_ms;
            if fits && self.unwanted(i, first) <= end {
                return (place + 1, at, begin);
            }
            place = first;
        }
        (0, self.gone[2 + i], self.gone[2 + plan.stages.len() + i])
    }

    /// The latest event before this one that is not wanted before the stage.
    fn unwanted(&mut self, i: usize, until: usize) -> i64 {
        let mask = self.plan.stages[i].unwanted;
        if mask == 0 {
            return NEVER;
        }
        if let Some((low, high, at)) = self.unwanted[i]
            && (low..=high).contains(&until)
        {
            return at;
        }
        let found = (0..until).rev().find(|place| self.events.bits(*place) & mask != 0);
        let at = found.map_or(self.gone[2 + 2 * self.plan.stages.len() + i], |place| self.events.at(place));
        self.unwanted[i] = Some((found.map_or(0, |place| place + 1), until, at));
        at
    }
}

/// What one event more, or some less, changes for those behind.
pub struct Shift {
    /// Of each event that may complete a chain where it did not, or the other way round: whether it does.
    pub done: Vec<(usize, bool)>,
    /// At the end; `None`: as it was.
    pub front: Option<Front>,
}

/// Walk on by two fronts, without and with a change, from an event on until they are alike.
///
/// `place`: the event to begin with, the first of its instant; `new`: the one that the front without does not know.
pub fn shift(plan: &Plan, events: &impl Events, fronts: (Front, Front), span: (usize, Option<usize>)) -> Shift {
    let ((mut without, mut with), (mut place, new)) = (fronts, span);
    let mut shift = Shift { done: Vec::new(), front: None };
    let count = events.len();
    while place < count && (without != with || new.is_some_and(|new| place <= new)) {
        let (at, mut end, mut old_bits, mut all_bits) = (events.at(place), place, 0, 0);
        while end < count && events.at(end) == at {
            all_bits |= events.bits(end);
            if Some(end) != new {
                old_bits |= events.bits(end);
            }
            end += 1;
        }
        if end == count {
            // The front stays as of before the latest instant.
            let mut front = with.clone();
            (front[0], front[1]) = (at, i64::from(all_bits));
            shift.front = Some(front);
        }
        let (was, is) = (plan.take(&mut without, at, old_bits), plan.take(&mut with, at, all_bits));
        if was != is || new.is_some_and(|new| (place..end).contains(&new)) {
            shift.done.extend((place..end).map(|each| (each, is)));
        }
        place = end;
    }
    shift
}
