//! A field of a profile that is kept as it was stored until somebody looks into it.

use pyo3::prelude::*;

use crate::msgpack::Reader;
use crate::python::{thawed, write_object};
use crate::{Beyond, Here};

/// The fields of a profile that are more than one number, in the order in which they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Identifiers,
    Declared,
    Computed,
    Slots,
    Audiences,
    Links,
    Merges,
    Recent,
    Notes,
}

impl Field {
    pub const ALL: [Field; 9] = [
        Field::Identifiers,
        Field::Declared,
        Field::Computed,
        Field::Slots,
        Field::Audiences,
        Field::Links,
        Field::Merges,
        Field::Recent,
        Field::Notes,
    ];

    /// What Python calls it.
    pub fn name(self) -> &'static str {
        match self {
            Field::Identifiers => "identifiers",
            Field::Declared => "declared",
            Field::Computed => "computed",
            Field::Slots => "slots",
            Field::Audiences => "audiences",
            Field::Links => "links",
            Field::Merges => "merges",
            Field::Recent => "recent",
            Field::Notes => "notes",
        }
    }

    /// Msgpack of it where nothing is in it.
    fn blank(self) -> &'static [u8] {
        match self {
            Field::Links | Field::Merges | Field::Recent => &[0x90],
            Field::Notes => &[0xc0],
            _ => &[0x80],
        }
    }
}

/// How a field is kept at the moment.
#[derive(Debug)]
pub enum Kept {
    /// Its msgpack: nobody has looked into it. No bytes at all where nothing is in it.
    Stored(Box<[u8]>),
    /// Elsewhere, as the kernel works with it.
    Native,
    /// As an object that Python may change at any time, and which is the truth as long as it is here.
    Thawed(Py<PyAny>),
}

impl Kept {
    pub fn stored(field: Field, bytes: &[u8]) -> Kept {
        Kept::Stored(if bytes == field.blank() { Box::default() } else { bytes.into() })
    }

    /// Its msgpack, where it is kept so.
    pub fn bytes(&self, field: Field) -> Option<&[u8]> {
        match self {
            Kept::Stored(bytes) if bytes.is_empty() => Some(field.blank()),
            Kept::Stored(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Have msgpack of an object that Python sees; it is forgotten then.
    pub fn store(&mut self, py: Python<'_>, field: Field) -> Here<()> {
        if let Kept::Thawed(object) = self {
            let mut bytes = Vec::new();
            write_object(&mut bytes, object.bind(py)).map_err(|_| Beyond)?;
            *self = Kept::stored(field, &bytes);
        }
        Ok(())
    }

    /// The object that Python sees from now on. `native`: msgpack of what is elsewhere, where it is.
    pub fn thaw<'py>(
        &mut self,
        py: Python<'py>,
        field: Field,
        native: impl FnOnce() -> Vec<u8>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Kept::Thawed(object) = self {
            return Ok(object.bind(py).clone());
        }
        let object = match self.bytes(field) {
            Some(stored) => thawed(py, field.name(), stored)?,
            None => thawed(py, field.name(), &native())?,
        };
        *self = Kept::Thawed(object.clone().unbind());
        Ok(object)
    }

    /// Have `read` make its msgpack native. What is native stays as it is; what is beyond `read`, too.
    pub fn freeze(&mut self, py: Python<'_>, field: Field, read: impl FnOnce(&mut Reader<'_>) -> Here<()>) -> Here<()> {
        match self {
            Kept::Native => return Ok(()),
            Kept::Stored(_) => whole(self.bytes(field).ok_or(Beyond)?, read)?,
            Kept::Thawed(object) => {
                let mut bytes = Vec::new();
                write_object(&mut bytes, object.bind(py)).map_err(|_| Beyond)?;
                whole(&bytes, read)?;
            }
        }
        *self = Kept::Native;
        Ok(())
    }
}

fn whole(bytes: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Here<()>) -> Here<()> {
    let mut reader = Reader::new(bytes);
    read(&mut reader)?;
    if reader.is_done() { Ok(()) } else { Err(Beyond) }
}
