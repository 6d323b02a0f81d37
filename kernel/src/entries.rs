//! Entries by name in the order in which they came, as a Python dictionary keeps them.

use std::collections::HashMap;
use std::sync::{LazyLock, RwLock, RwLockReadGuard};

use crate::index::Index;

/// A name that definitions give: of a slot, a trait, an audience. Equal names are one number in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(u32);

#[derive(Default)]
struct Known {
    numbers: HashMap<&'static str, u32>,
    texts: Vec<&'static str>,
}

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

impl Name {
    /// The name of this text. Definitions are few: their names are kept for good.
    pub fn of(text: &str) -> Name {
        if let Some(number) = KNOWN.read().unwrap().numbers.get(text) {
            return Name(*number);
        }
        let mut known = KNOWN.write().unwrap();
        if let Some(number) = known.numbers.get(text) {
            return Name(*number);
        }
        let number = u32::try_from(known.texts.len()).expect("fewer names than numbers");
        let kept: &'static str = Box::leak(text.into());
        known.texts.push(kept);
        known.numbers.insert(kept, number);
        Name(number)
    }

    /// Its own number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// Its text.
    pub fn text(self) -> &'static str {
        Texts::known().of(self)
    }
}

/// What names are called, for whoever asks of many.
pub struct Texts(RwLockReadGuard<'static, Known>);

impl Texts {
    pub fn known() -> Texts {
        Texts(KNOWN.read().unwrap())
    }

    pub fn of(&self, name: Name) -> &'static str {
        self.0.texts[name.0 as usize]
    }
}

/// Values by name. A name that is set again keeps its place; one that was removed comes to the end.
#[derive(Clone, Debug)]
pub struct Entries<T> {
    names: Vec<Name>,
    values: Vec<T>,
    index: Index,
}

impl<T> Default for Entries<T> {
    fn default() -> Entries<T> {
        Entries { names: Vec::new(), values: Vec::new(), index: Index::default() }
    }
}

impl<T> Entries<T> {
    /// Of names that are all different, side by side with their values.
    pub fn of(names: Vec<Name>, values: Vec<T>) -> Entries<T> {
        let mut index = Index::default();
        index.renew(&names);
        Entries { names, values, index }
    }

    /// Without any yet, but with room for so many.
    pub fn for_many(room: usize) -> Entries<T> {
        let index = Index::for_many(room);
        Entries { names: Vec::with_capacity(room), values: Vec::with_capacity(room), index }
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Where a name stands now, if it is there.
    pub fn place(&self, name: Name) -> Option<usize> {
        self.index.place(&self.names, name)
    }

    /// Whether this name stands there.
    pub fn is_at(&self, place: usize, name: Name) -> bool {
        self.names.get(place) == Some(&name)
    }

    pub fn get(&self, name: Name) -> Option<&T> {
        self.place(name).map(|place| &self.values[place])
    }

    /// What stands there.
    pub fn at(&self, place: usize) -> &T {
        &self.values[place]
    }

    /// What stands there, and under which name.
    pub fn at_mut(&mut self, place: usize) -> (Name, &mut T) {
        (self.names[place], &mut self.values[place])
    }

    pub fn set(&mut self, name: Name, value: T) {
        match self.place(name) {
            Some(place) => self.values[place] = value,
            None => self.push(name, value),
        }
    }

    /// Put a name that is not there yet to the end.
    pub fn push(&mut self, name: Name, value: T) {
        debug_assert!(self.place(name).is_none());
        self.names.push(name);
        self.values.push(value);
        self.index.grow(&self.names);
    }

    /// Remove what stands there.
    pub fn remove_at(&mut self, place: usize) -> T {
        self.names.remove(place);
        self.index.renew(&self.names);
        self.values.remove(place)
    }

    /// Set a name, or remove it; what it was.
    pub fn replace(&mut self, name: Name, value: Option<T>) -> Option<T> {
        match (self.place(name), value) {
            (Some(place), Some(value)) => Some(std::mem::replace(&mut self.values[place], value)),
            (Some(place), None) => Some(self.remove_at(place)),
            (None, Some(value)) => {
                self.push(name, value);
                None
            }
            (None, None) => None,
        }
    }

    /// Each name with its value, in order.
    pub fn into_each(self) -> impl Iterator<Item = (Name, T)> {
        self.names.into_iter().zip(self.values)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Name, &T)> {
        self.names.iter().copied().zip(&self.values)
    }
}
