//! `unique`, `unique_count`, `most_frequent` and `top`: what a tally of the values says.

use std::borrow::Cow;

use super::monoid::{Asked, Kept, Monoid};
use super::tallies::{Counted, Tally, VALUES_MAX, narrow, value_of};
use super::{At, Change};
use crate::msgpack::{Reader, write_list, write_text};
use crate::texts::Text;
use crate::value::Value;
use crate::{Beyond, Here};

/// The monoid of `unique`, or of `unique_count`.
pub struct Unique {
    pub counted: bool,
}

impl Monoid for Unique {
    type Kept = Tally;
    type States = Vec<Tally>;

    fn lift(&self, given: &Value, _event: At<'_>) -> Option<Tally> {
        Text::of(given).map(|text| Tally::of(&text))
    }

    fn combine(&self, kept: &mut Tally, more: Tally) {
        kept.add(&more);
    }

    /// One that has come before makes no other set of values.
    fn absorb(&self, kept: &mut Tally, given: &Value, _event: At<'_>) -> Change {
        match Text::of(given).map(|text| kept.count(&text)) {
            None | Some((Counted::Again, _)) => Change::None,
            Some(_) => Change::Some,
        }
    }

    fn total<'a>(&self, states: &'a [Tally]) -> Option<Cow<'a, Tally>> {
        sum(states.iter())
    }

    fn result(&self, kept: Option<&Tally>, _asked: Asked<'_>) -> Value {
        match kept.filter(|tally| !tally.is_empty()) {
            None if self.counted => Value::Int(0),
            None => Value::Null,
            Some(tally) if self.counted => Value::Int(tally.distinct()),
            Some(tally) => Value::List(tally.ordered()),
        }
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Tally> {
        Tally::read(stored)
    }
}

fn sum<'a>(mut tallies: impl Iterator<Item = &'a Tally> + Clone) -> Option<Cow<'a, Tally>> {
    let all = tallies.clone();
    let first = tallies.next()?;
    Some(if tallies.next().is_none() { Cow::Borrowed(first) } else { Cow::Owned(Tally::sum(all)) })
}

/// A tally, and the place of the most frequent value.
#[derive(Clone, Debug)]
pub struct Favourite {
    best: u32,
    tally: Tally,
}

impl Favourite {
    /// The most frequent value so far came a last time, or another one came.
    fn count(&mut self, text: &Text<'_>) -> Change {
        let was = if self.tally.len() < VALUES_MAX { None } else { Some(self.best_text().to_owned()) };
        match (self.tally.count(text), was) {
            ((Counted::Sampled, _), Some(was)) => self.sampled(&was, text),
            ((_, place), _) => self.promote(place),
        }
    }

    fn best_text(&self) -> &str {
        self.tally.text(self.best as usize)
    }

    /// One more value can only put itself first.
    fn promote(&mut self, place: usize) -> Change {
        if place == self.best as usize || !self.tally.is_before(place, self.best as usize) {
            return Change::None;
        }
        self.best = narrow(place);
        Change::Some
    }

    fn sampled(&mut self, was: &str, text: &Text<'_>) -> Change {
        let Some(best) = self.tally.place(was) else {
            self.best = narrow(self.tally.favourite().unwrap_or(0));
            return Change::Some;
        };
        self.best = narrow(best);
        self.tally.place_of(text).map_or(Change::None, |place| self.promote(place))
    }

    fn add(&mut self, more: &Favourite) {
        let was = self.best_text().to_owned();
        self.tally.add(&more.tally);
        match self.tally.place(&was) {
            Some(best) if more.tally.len() == 1 => {
                self.best = narrow(best);
                if let Some(place) = self.tally.place(more.best_text()) {
                    self.promote(place);
                }
            }
            _ => self.best = narrow(self.tally.favourite().unwrap_or(0)),
        }
    }
}

impl Kept for Favourite {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 2);
        write_text(out, self.best_text());
        self.tally.write(out);
    }
}

/// The monoid of `most_frequent`.
pub struct MostFrequent;

impl Monoid for MostFrequent {
    type Kept = Favourite;
    type States = Vec<Favourite>;

    fn lift(&self, given: &Value, _event: At<'_>) -> Option<Favourite> {
        Text::of(given).map(|text| Favourite { best: 0, tally: Tally::of(&text) })
    }

    fn combine(&self, kept: &mut Favourite, more: Favourite) {
        kept.add(&more);
    }

    fn absorb(&self, kept: &mut Favourite, given: &Value, _event: At<'_>) -> Change {
        Text::of(given).map_or(Change::None, |text| kept.count(&text))
    }

    fn total<'a>(&self, states: &'a [Favourite]) -> Option<Cow<'a, Favourite>> {
        let tally = sum(states.iter().map(|state| &state.tally))?.into_owned();
        Some(Cow::Owned(Favourite { best: narrow(tally.favourite().unwrap_or(0)), tally }))
    }

    fn result(&self, kept: Option<&Favourite>, _asked: Asked<'_>) -> Value {
        kept.map_or(Value::Null, |state| value_of(state.best_text()))
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Favourite> {
        if stored.list()? != 2 {
            return Err(Beyond);
        }
        let best = stored.text()?;
        let tally = Tally::read(stored)?;
        let place = tally.place(best).filter(|_| !best.is_empty()).ok_or(Beyond)?;
        Ok(Favourite { best: narrow(place), tally })
    }
}

/// A tally, and the places of the most frequent values, in order.
#[derive(Clone, Debug)]
pub struct Leaders {
    leaders: Vec<u32>,
    tally: Tally,
}

impl Kept for Leaders {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, 2);
        write_list(out, self.leaders.len());
        for place in &self.leaders {
            write_text(out, self.tally.text(*place as usize));
        }
        self.tally.write(out);
    }
}

/// The monoid of `top`: so many of the most frequent values.
pub struct Top {
    pub most: usize,
}

impl Top {
    /// The value at this place has become more frequent.
    fn promote(&self, kept: &mut Leaders, place: usize) {
        let Leaders { leaders, tally } = kept;
        let mut rank = match leaders.iter().position(|leader| *leader as usize == place) {
            Some(rank) => rank,
            None if leaders.len() < self.most => {
                leaders.push(narrow(place));
                leaders.len() - 1
            }
            None => match leaders.last_mut() {
                Some(last) if tally.is_before(place, *last as usize) => {
                    *last = narrow(place);
                    leaders.len() - 1
                }
                _ => return,
            },
        };
        while rank > 0 && tally.is_before(place, leaders[rank - 1] as usize) {
            leaders.swap(rank, rank - 1);
            rank -= 1;
        }
    }

    /// A value was put in that may have put others out, and moved those that are left; its place is found then.
    fn sampled(&self, kept: &mut Leaders, were: &[String], place: impl Fn(&Tally) -> Option<usize>) {
        let places: Option<Vec<u32>> = were.iter().map(|each| kept.tally.place(each).map(narrow)).collect();
        let Some(places) = places else {
            kept.leaders = kept.tally.leaders(self.most);
            return;
        };
        kept.leaders = places;
        if let Some(place) = place(&kept.tally) {
            self.promote(kept, place);
        }
    }
}

fn texts(kept: &Leaders) -> Vec<String> {
    kept.leaders.iter().map(|place| kept.tally.text(*place as usize).to_owned()).collect()
}

impl Monoid for Top {
    type Kept = Leaders;
    type States = Vec<Leaders>;

    fn lift(&self, given: &Value, _event: At<'_>) -> Option<Leaders> {
        Text::of(given).map(|text| Leaders { leaders: vec![0], tally: Tally::of(&text) })
    }

    fn combine(&self, kept: &mut Leaders, more: Leaders) {
        let were = texts(kept);
        kept.tally.add(&more.tally);
        if more.tally.len() == 1 {
            self.sampled(kept, &were, |tally| tally.place(more.tally.text(0)));
        } else {
            kept.leaders = kept.tally.leaders(self.most);
        }
    }

    fn absorb(&self, kept: &mut Leaders, given: &Value, _event: At<'_>) -> Change {
        let Some(text) = Text::of(given) else { return Change::None };
        let were = if kept.tally.len() < VALUES_MAX { Vec::new() } else { texts(kept) };
        match kept.tally.count(&text) {
            (Counted::Sampled, _) => self.sampled(kept, &were, |tally| tally.place_of(&text)),
            (_, place) => self.promote(kept, place),
        }
        Change::Some
    }

    fn total<'a>(&self, states: &'a [Leaders]) -> Option<Cow<'a, Leaders>> {
        let tally = sum(states.iter().map(|state| &state.tally))?.into_owned();
        Some(Cow::Owned(Leaders { leaders: tally.leaders(self.most), tally }))
    }

    fn result(&self, kept: Option<&Leaders>, _asked: Asked<'_>) -> Value {
        let leaders =
            |state: &Leaders| state.leaders.iter().map(|place| value_of(state.tally.text(*place as usize))).collect();
        kept.map_or(Value::Null, |state| Value::List(leaders(state)))
    }

    fn read(&self, stored: &mut Reader<'_>) -> Here<Leaders> {
        if stored.list()? != 2 {
            return Err(Beyond);
        }
        let many = stored.list()?;
        let leaders: Vec<&str> = (0..many).map(|_| stored.text()).collect::<Here<_>>()?;
        let tally = Tally::read(stored)?;
        let places = leaders.iter().map(|text| tally.place(text).map(narrow).ok_or(Beyond)).collect::<Here<_>>()?;
        Ok(Leaders { leaders: places, tally })
    }
}
