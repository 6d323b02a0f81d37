//! The places of a profile's latest events, oldest first, kept as their msgpack.

use crate::Here;
use crate::msgpack::{Reader, write_list, write_unsigned};

/// As `onefold.limits.RECENT_EVENTS_MAX`.
const EVENTS_MAX: usize = 20;

/// The places, one behind the other, without how many they are.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    count: usize,
    places: Vec<u8>,
}

impl Recent {
    /// `Beyond` where there is something else in a list, or no list.
    pub fn read(reader: &mut Reader<'_>) -> Here<Recent> {
        let count = reader.list()?;
        let begin = reader.rest();
        for _ in 0..count {
            reader.unsigned()?;
        }
        let places = begin[..begin.len() - reader.rest().len()].to_vec();
        Ok(Recent { count, places })
    }

    /// Add the place of the latest event; the oldest has to go where there are too many.
    pub fn add(&mut self, place: u64) {
        write_unsigned(&mut self.places, place);
        self.count += 1;
        if self.count > EVENTS_MAX {
            let mut reader = Reader::new(&self.places);
            let oldest = reader.raw().map_or(0, <[u8]>::len);
            self.places.drain(..oldest);
            self.count -= 1;
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        write_list(out, self.count);
        out.extend(&self.places);
    }
}
