//! The parts of a body from their msgpack, and back.

use crate::body::Body;
use crate::declared::Declared;
use crate::entries::{Entries, Name, Texts};
use crate::keeping::State;
use crate::msgpack::{Reader, write_int, write_map, write_text, write_value};
use crate::profile::field::Field;
use crate::{Beyond, Here};

/// Sets a state aside that a merge brought and nobody knows (`onefold.core.identity.merge`); left to Python.
const ASIDE: char = '+';

/// Take a part of the body from its msgpack. `Beyond`: there is something that is not known here.
pub fn read(body: &mut Body, field: Field, reader: &mut Reader<'_>) -> Here<()> {
    match field {
        Field::Identifiers => body.identifiers = pairs(reader, Reader::int)?,
        Field::Declared => body.declared = Declared::read(reader)?,
        Field::Computed => body.computed = entries(reader, Reader::value)?,
        Field::Slots => {
            body.slots = entries(reader, |reader| Ok(Some(State::Stored(reader.raw()?.into()))))?;
            (body.has_stored, body.opened) = (true, Vec::new());
        }
        Field::Audiences => body.audiences = entries(reader, Reader::int)?,
        _ => return Err(Beyond),
    }
    Ok(())
}

/// Append the msgpack of a part of the body.
pub fn write(body: &Body, field: Field, out: &mut Vec<u8>) {
    match field {
        Field::Identifiers => {
            write_map(out, body.identifiers.len());
            for (name, since_ms) in &body.identifiers {
                write_text(out, name);
                write_int(out, *since_ms);
            }
        }
        Field::Declared => body.declared.write(out),
        Field::Computed => write_entries(out, &body.computed, write_value),
        Field::Slots => write_entries(out, &body.slots, |out, state| {
            debug_assert!(state.is_some(), "a slot without a state was left behind");
            if let Some(state) = state {
                state.write(out);
            }
        }),
        Field::Audiences => write_entries(out, &body.audiences, |out, since_ms| write_int(out, *since_ms)),
        _ => {}
    }
}

/// Let go of a part of the body: it is kept elsewhere now.
pub fn forget(body: &mut Body, field: Field) {
    match field {
        Field::Identifiers => body.identifiers = Vec::new(),
        Field::Declared => body.declared = Declared::default(),
        Field::Computed => body.computed = Entries::default(),
        Field::Slots => (body.slots, body.has_stored, body.opened) = (Entries::default(), false, Vec::new()),
        Field::Audiences => body.audiences = Entries::default(),
        _ => {}
    }
}

fn pairs<'a, T>(reader: &mut Reader<'a>, read: impl Fn(&mut Reader<'a>) -> Here<T>) -> Here<Vec<(Box<str>, T)>> {
    let size = reader.map()?;
    let mut found = Vec::with_capacity(size.min(reader.rest().len()));
    for _ in 0..size {
        found.push((reader.text()?.into(), read(reader)?));
    }
    Ok(found)
}

fn entries<'a, T>(reader: &mut Reader<'a>, read: impl Fn(&mut Reader<'a>) -> Here<T>) -> Here<Entries<T>> {
    let size = reader.map()?;
    let most = size.min(reader.rest().len());
    let (mut names, mut values) = (Vec::with_capacity(most), Vec::with_capacity(most));
    for _ in 0..size {
        let text = reader.text()?;
        if text.contains(ASIDE) {
            return Err(Beyond);
        }
        names.push(Name::of(text));
        values.push(read(reader)?);
    }
    Ok(Entries::of(names, values))
}

fn write_entries<T>(out: &mut Vec<u8>, entries: &Entries<T>, write: impl Fn(&mut Vec<u8>, &T)) {
    write_map(out, entries.len());
    let texts = Texts::known();
    for (name, value) in entries.iter() {
        write_text(out, texts.of(name));
        write(out, value);
    }
}
