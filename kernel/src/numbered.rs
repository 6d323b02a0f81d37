//! How keys of maps are hashed: numbers that we have made ourselves, so that nobody can choose them to collide, and what
//! strangers send, so that they cannot either.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A map by numbers.
pub type Numbered<T> = HashMap<u64, T, BuildHasherDefault<Mixed>>;

/// Spreads the bits of one number over all of the hash.
#[derive(Default)]
pub struct Mixed(u64);

/// 2^64 over the golden ratio: near numbers come to lie far apart.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Mixed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed");
    }

    fn write_u64(&mut self, number: u64) {
        let spread = number.wrapping_mul(GOLDEN);
        self.0 = spread ^ spread >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Hashes one run of bytes, or text, by a number that nobody knows: whoever sends it may choose it.
#[derive(Clone)]
pub struct Secret(u64);

impl Default for Secret {
    fn default() -> Secret {
        Secret(RandomState::new().hash_one(()))
    }
}

impl BuildHasher for Secret {
    type Hasher = Seeded;

    fn build_hasher(&self) -> Seeded {
        Seeded(self.0)
    }
}

/// What has been hashed so far, upon what was not to be known.
pub struct Seeded(u64);

impl Hasher for Seeded {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// How long it is, or that it has ended: its hash depends on that already.
    fn write_usize(&mut self, _: usize) {}

    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
