//! Entries by name in the order in which they came, as a Python dictionary keeps them.

use std::collections::HashMap;
use std::sync::{LazyLock, RwLock};

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

    /// Its text.
    pub fn text(self) -> &'static str {
        KNOWN.read().unwrap().texts[self.0 as usize]
    }
}

/// Values by name. A name that is set again keeps its place; one that was removed comes to the end.
#[derive(Clone, Debug)]
pub struct Entries<T>(Vec<(Name, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Entries<T> {
        Entries(Vec::new())
    }
}

impl<T> Entries<T> {
    pub fn with_capacity(size: usize) -> Entries<T> {
        Entries(Vec::with_capacity(size))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a name stands now, if it is there.
    pub fn place(&self, name: Name) -> Option<usize> {
        self.0.iter().position(|(each, _)| *each == name)
    }

    pub fn get(&self, name: Name) -> Option<&T> {
        self.place(name).map(|place| &self.0[place].1)
    }

    pub fn get_mut(&mut self, name: Name) -> Option<&mut T> {
        self.place(name).map(|place| &mut self.0[place].1)
    }

    /// What stands there, and under which name.
    pub fn at_mut(&mut self, place: usize) -> (Name, &mut T) {
        let (name, value) = &mut self.0[place];
        (*name, value)
    }

    pub fn set(&mut self, name: Name, value: T) {
        match self.place(name) {
            Some(place) => self.0[place].1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// Put a name that is not there yet to the end.
    pub fn push(&mut self, name: Name, value: T) {
        debug_assert!(self.place(name).is_none());
        self.0.push((name, value));
    }

    /// Remove what stands there.
    pub fn remove_at(&mut self, place: usize) {
        self.0.remove(place);
    }

    /// Set a name, or remove it; what it was.
    pub fn replace(&mut self, name: Name, value: Option<T>) -> Option<T> {
        match (self.place(name), value) {
            (Some(place), Some(value)) => Some(std::mem::replace(&mut self.0[place].1, value)),
            (Some(place), None) => Some(self.0.remove(place).1),
            (None, Some(value)) => {
                self.0.push((name, value));
                None
            }
            (None, None) => None,
        }
    }

    pub fn remove(&mut self, name: Name) -> Option<T> {
        self.place(name).map(|place| self.0.remove(place).1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Name, &T)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}
