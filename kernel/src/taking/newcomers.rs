//! Who comes anew, and the links that make an event's identifiers one person's (`onefold.core.identity.resolve`).

use pyo3::prelude::*;

use crate::msgpack::{write_int, write_list, write_text, write_unsigned};
use crate::taking::gathered::Gathered;

/// The namespace of which a person has one identifier (`onefold.core.identity.rules.UNIQUE_NAMESPACE`).
const UNIQUE: &str = "user_id:";
/// Why the identifiers of an event are one person's (`onefold.core.identity.rules.SHARED_EVENT`).
const SHARED_EVENT: &str = "shared_event";

/// Whether there are such identifiers, nobody has any of them, and one person may have them all.
pub fn is_nobodys(run: &Gathered<'_>, identifiers: &[Box<str>]) -> PyResult<bool> {
    let mut unique = 0;
    for identifier in identifiers {
        unique += usize::from(identifier.starts_with(UNIQUE));
        if run.owners.contains(&**identifier)? {
            return Ok(false);
        }
    }
    Ok(!identifiers.is_empty() && unique <= 1)
}

/// Msgpack of the links of each identifier to the first.
pub fn links(names: &[(Box<str>, i64)], (partition, position, now_ms): (u64, u64, i64)) -> Vec<u8> {
    let mut out = Vec::new();
    write_list(&mut out, names.len() - 1);
    for (name, _) in &names[1..] {
        write_list(&mut out, 6);
        write_text(&mut out, &names[0].0);
        write_text(&mut out, name);
        write_unsigned(&mut out, partition);
        write_unsigned(&mut out, position);
        write_text(&mut out, SHARED_EVENT);
        write_int(&mut out, now_ms);
    }
    out
}
