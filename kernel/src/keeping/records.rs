//! Records of a sequence's events, packed in order of time: each the time (biased, 8 bytes), the hash of the value that
//! must be the same in all (8), the bits of its steps (2), and 1 where it completes the sequence (1); big-endian.

use smallvec::SmallVec;

use super::Bits;
use super::walks::{Events, NEVER};

/// Added to times, so that packed records are in order of time.
pub const BIAS: i64 = 1 << 62;
/// Bytes of one record.
pub const SIZE: usize = 19;

const BITS_AT: usize = 17;
const FLAG_AT: usize = 18;

/// One event; its time is biased.
#[derive(Clone, Copy)]
pub struct Record {
    pub at: i64,
    pub same: u64,
    pub bits: Bits,
}

impl Record {
    /// Its bytes.
    pub fn packed(self, completes: bool) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&self.at.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.same.to_be_bytes());
        bytes[BITS_AT] = self.bits;
        bytes[FLAG_AT] = completes.into();
        bytes
    }
}

/// The records of one state; the first one has no allocation of its own.
#[derive(Clone, Debug, Default)]
pub struct Records(SmallVec<[u8; 24]>);

impl Records {
    /// Those that were stored; `None`: these bytes are no records.
    pub fn stored(bytes: &[u8]) -> Option<Records> {
        let sound = |record: &[u8]| record[0] < 0x80 && record[FLAG_AT] <= 1;
        let (records, rest) = bytes.as_chunks::<SIZE>();
        (rest.is_empty() && records.iter().all(|record| sound(record))).then(|| Records(SmallVec::from_slice(bytes)))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn each(&self) -> &[[u8; SIZE]] {
        self.0.as_chunks().0
    }

    /// What the value that must be the same in all is of this one.
    pub fn same(&self, place: usize) -> u64 {
        u64::from_be_bytes(eight(&self.each()[place], 8))
    }

    pub fn flag(&self, place: usize) -> bool {
        self.each()[place][FLAG_AT] == 1
    }

    pub fn set_flag(&mut self, place: usize, completes: bool) {
        self.0[place * SIZE + FLAG_AT] = completes.into();
    }

    /// When the last one was; `NEVER` without any.
    pub fn latest(&self) -> i64 {
        self.each().last().map_or(NEVER, time)
    }

    /// How many complete the sequence.
    pub fn completed(&self) -> i64 {
        self.each().iter().map(|record| i64::from(record[FLAG_AT])).sum()
    }

    /// The numbers of those before `until` that complete the sequence, from the last to the first.
    pub fn flagged(&self, until: usize) -> impl Iterator<Item = usize> {
        (0..until).rev().filter(|place| self.flag(*place))
    }

    /// The number of the first one that is later than this; how many there are, where none is.
    pub fn after(&self, at: i64) -> usize {
        self.each().partition_point(|record| time(record) <= at)
    }

    pub fn append(&mut self, record: Record, completes: bool) {
        self.0.extend_from_slice(&record.packed(completes));
    }

    /// Put one before the one that has this number now.
    pub fn insert(&mut self, place: usize, record: Record) {
        self.0.insert_from_slice(place * SIZE, &record.packed(false));
    }

    /// Take the first ones out.
    pub fn split_first(&mut self, count: usize) -> Records {
        Records(self.0.drain(..count * SIZE).collect())
    }

    /// Those with this value, in order.
    pub fn alike(&self, same: u64) -> Alike {
        let key = same.to_be_bytes();
        let ours = |(place, record): (usize, &[u8; SIZE])| {
            (record[8..16] == key).then(|| (place, time(record), record[BITS_AT]))
        };
        Alike(self.each().iter().enumerate().filter_map(ours).collect())
    }
}

impl Events for Records {
    fn len(&self) -> usize {
        self.0.len() / SIZE
    }

    fn at(&self, place: usize) -> i64 {
        time(&self.each()[place])
    }

    fn bits(&self, place: usize) -> Bits {
        self.each()[place][BITS_AT]
    }
}

/// Records with one value: their numbers among all, times and bits.
pub struct Alike(Vec<(usize, i64, Bits)>);

impl Alike {
    /// The number among all records of one of these.
    pub fn place(&self, number: usize) -> usize {
        self.0[number].0
    }

    /// Which of these has this number among all records; `None`: none.
    pub fn number(&self, place: usize) -> Option<usize> {
        self.0.iter().position(|each| each.0 == place)
    }

    /// How many are earlier than this.
    pub fn before(&self, at: i64) -> usize {
        self.0.partition_point(|each| each.1 < at)
    }
}

impl Events for Alike {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, place: usize) -> i64 {
        self.0[place].1
    }

    fn bits(&self, place: usize) -> Bits {
        self.0[place].2
    }
}

fn eight(record: &[u8; SIZE], from: usize) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&record[from..from + 8]);
    bytes
}

fn time(record: &[u8; SIZE]) -> i64 {
    i64::from_be_bytes(eight(record, 0))
}
