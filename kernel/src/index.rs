//! Where each of many names stands, found without going through all of them.

use crate::entries::Name;

/// So few names are gone through.
const FEW: usize = 8;

/// Of a list of names, each of which is in it once: the place of each, at its hash or behind that (open addressing).
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// None at all for few names, else at most half are taken.
    taken: Box<[Taken]>,
}

/// A name, by its own number, and its place, one more than it is; 0 where there is none. With the name beside it, the
/// list is not looked into.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    name: u32,
    place: u32,
}

impl Index {
    /// Of no names yet, but so many to come.
    pub fn for_many(room: usize) -> Index {
        Index { taken: vec![Taken::default(); size_for(room)].into() }
    }

    /// The place of a name among those that this was told of.
    pub fn place(&self, names: &[Name], name: Name) -> Option<usize> {
        if self.taken.is_empty() {
            return names.iter().position(|each| *each == name);
        }
        let mut at = self.begin(name);
        while self.taken[at].place != 0 {
            let Taken { name: each, place } = self.taken[at];
            if each == name.number() {
                return Some(place as usize - 1);
            }
            at = self.next(at);
        }
        None
    }

    /// The last of these names has come.
    pub fn grow(&mut self, names: &[Name]) {
        if names.len() * 2 <= self.taken.len() {
            self.take(names, names.len() - 1);
        } else if names.len() > FEW {
            self.renew(names);
        }
    }

    /// There are these names now.
    pub fn renew(&mut self, names: &[Name]) {
        *self = if names.len() <= FEW { Index::default() } else { Index::for_many(names.len()) };
        if !self.taken.is_empty() {
            (0..names.len()).for_each(|place| self.take(names, place));
        }
    }

    fn take(&mut self, names: &[Name], place: usize) {
        let mut at = self.begin(names[place]);
        while self.taken[at].place != 0 {
            at = self.next(at);
        }
        let name = names[place].number();
        self.taken[at] = Taken { name, place: u32::try_from(place + 1).expect("fewer names than numbers") };
    }

    /// Where to look for a name first; the best bits of Fibonacci hashing are the upper ones.
    fn begin(&self, name: Name) -> usize {
        let hash = name.number().wrapping_mul(0x9e37_79b9);
        (hash >> (32 - self.taken.len().trailing_zeros())) as usize
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.taken.len() - 1)
    }
}

/// Room for so many names of which at most every second place is taken; none for few.
fn size_for(names: usize) -> usize {
    if names <= FEW { 0 } else { names.next_power_of_two() * 2 }
}
