//! Integers by key, in the order in which the keys came, as a Python dictionary keeps them.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

pub struct Ordered<K, S> {
    places: HashMap<K, usize, S>,
    /// `None`: it was removed.
    entries: Vec<Option<(K, i64)>>,
}

impl<K, S: Default> Default for Ordered<K, S> {
    fn default() -> Ordered<K, S> {
        Ordered { places: HashMap::default(), entries: Vec::new() }
    }
}

impl<K: Hash + Eq + Copy, S: BuildHasher> Ordered<K, S> {
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub fn contains(&self, key: &K) -> bool {
        self.places.contains_key(key)
    }

    pub fn get(&self, key: &K) -> Option<i64> {
        self.places.get(key).and_then(|place| self.entries[*place]).map(|(_, number)| number)
    }

    pub fn set(&mut self, key: K, number: i64) {
        let place = *self.places.entry(key).or_insert(self.entries.len());
        if place == self.entries.len() {
            self.entries.push(Some((key, number)));
        } else {
            self.entries[place] = Some((key, number));
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<i64> {
        let place = self.places.remove(key)?;
        self.entries[place].take().map(|(_, number)| number)
    }

    pub fn clear(&mut self) {
        self.places.clear();
        self.entries.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = (K, i64)> {
        self.entries.iter().flatten().copied()
    }
}
