//! Time zones, as `zoneinfo` reads them: from the very files of the `tzdata` package that Python does, which hands them
//! over. So both always agree.
//!
//! What a zone does by rule repeats after four hundred years, so a table up to then says what it ever does.

use std::collections::HashMap;
use std::sync::{LazyLock, RwLock};

use pyo3::prelude::*;

use crate::civil::{CYCLE_DAYS, DAY_S, days_of};
use crate::tzif;

const CYCLE_S: i64 = CYCLE_DAYS * DAY_S;
/// From this year on there are nothing but rules.
pub const RULES_FROM: i64 = 2100;

/// When clocks are put forward or back, and how far they are ahead of UTC, in seconds.
#[derive(Debug)]
pub struct Zone {
    since: Vec<i64>,
    /// One more: the first is of before all of them.
    offsets: Vec<i64>,
}

impl Zone {
    /// `changes`: (since when, offset), in order, up to the end of a cycle of rules; `before` any of them.
    #[must_use]
    pub fn new(before: i64, changes: &[(i64, i64)]) -> Zone {
        let since = changes.iter().map(|(since, _)| *since).collect();
        Zone { since, offsets: std::iter::once(before).chain(changes.iter().map(|(_, offset)| *offset)).collect() }
    }

    /// How far clocks are ahead of UTC at an instant, in seconds; so is the instant.
    #[must_use]
    pub fn offset_s(&self, at_s: i64) -> i64 {
        let at_s = in_cycle(at_s);
        self.offsets[self.since.partition_point(|since| *since <= at_s)]
    }

    /// The same for a local time; of one that comes twice, the first time or the second (`again`).
    ///
    /// Of a time that clocks skip, what they showed before; `again`, what they show then.
    #[must_use]
    pub fn offset_of_local_s(&self, local_s: i64, again: bool) -> i64 {
        let local_s = in_cycle(local_s);
        let mut change = self.since.partition_point(|since| *since <= local_s + DAY_S);
        while change > 0 {
            let (before, after) = (self.offsets[change - 1], self.offsets[change]);
            let turn = if again { before.min(after) } else { before.max(after) };
            if local_s >= self.since[change - 1] + turn {
                break;
            }
            change -= 1;
        }
        self.offsets[change]
    }

    /// The local time of an instant, in milliseconds as if it were UTC.
    #[must_use]
    pub fn local_ms(&self, at_ms: i64) -> i64 {
        at_ms + self.offset_s(at_ms.div_euclid(1000)) * 1000
    }

    /// When a local day, in days since 1970, begins; where clocks skip midnight, when they do.
    #[must_use]
    pub fn midnight_ms(&self, day: i64, again: bool) -> i64 {
        let local_s = day * DAY_S;
        (local_s - self.offset_of_local_s(local_s, again)) * 1000
    }
}

fn in_cycle(at_s: i64) -> i64 {
    static FROM_S: LazyLock<i64> = LazyLock::new(|| days_of(RULES_FROM, 1, 1) * DAY_S);
    let after_s = at_s - *FROM_S;
    if after_s < CYCLE_S { at_s } else { *FROM_S + after_s % CYCLE_S }
}

static KNOWN: LazyLock<RwLock<HashMap<Box<str>, &'static Zone>>> = LazyLock::new(RwLock::default);
static RULES: RwLock<Option<Rules>> = RwLock::new(None);

/// Where rules come from.
struct Rules {
    /// (name) → the zone's file.
    reader: Py<PyAny>,
    names: Vec<String>,
}

/// Tell the kernel what reads the rules of a time zone: (name) → its `TZif` file, or None where there is no such zone;
/// and the names of all that there are.
#[pyfunction]
pub fn read_zones_with(reader: Py<PyAny>, names: Vec<String>) {
    if let Ok(mut rules) = RULES.write() {
        *rules = Some(Rules { reader, names });
    }
}

/// The zone of this name; `None`: there is none, or nobody has said yet who reads them. Each is read once.
pub fn zone(name: &str) -> Option<&'static Zone> {
    known(name).or_else(|| {
        let file: Vec<u8> = Python::attach(|py| {
            let reader = RULES.read().ok()?.as_ref()?.reader.clone_ref(py);
            reader.call1(py, (name,)).ok()?.extract(py).ok()
        })?;
        let found: &'static Zone = Box::leak(Box::new(tzif::read(&file)?));
        Some(*KNOWN.write().ok()?.entry(name.into()).or_insert(found))
    })
}

/// The zone of this name, if it has been read.
pub fn known(name: &str) -> Option<&'static Zone> {
    KNOWN.read().ok()?.get(name).copied()
}

/// Read every zone that there is; false where one has a form that is not known here.
pub fn know_all() -> bool {
    let names = RULES.read().ok().and_then(|rules| rules.as_ref().map(|rules| rules.names.clone()));
    names.is_some_and(|names| names.iter().all(|name| zone(name).is_some()))
}
