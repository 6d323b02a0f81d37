//! Maps of numbers that we have made ourselves, so that nobody can choose them to collide.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

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
