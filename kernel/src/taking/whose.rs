//! Whose an event is: nobody's so far, or one person's who may get identifiers (`onefold.core.identity.resolve`).

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::msgpack::{write_int, write_list, write_text, write_unsigned};
use crate::profile::{Field, Profile};
use crate::taking::gathered::Gathered;
use crate::who::Who;
use crate::{Beyond, Here};

/// The namespace of which a person has one identifier (`onefold.core.identity.rules.UNIQUE_NAMESPACE`).
const UNIQUE: &str = "user_id:";
/// Why the identifiers of an event are one person's (`onefold.core.identity.linking.SHARED_EVENT`).
const SHARED_EVENT: &str = "shared_event";
/// As `onefold.limits.PROFILE_IDENTIFIERS_MAX`.
const IDENTIFIERS_MAX: usize = 1_000;

/// Whom an event is of.
pub enum Whose<'a, 'py> {
    /// Nobody has any of its identifiers.
    Nobodys(Joining<'a>),
    /// This profile's, which has all of its identifiers, or is to get some.
    Persons(Bound<'py, Profile>, Option<Joining<'a>>),
    /// Python says.
    Unclear,
}

/// An event's identifiers, which become one person's.
pub struct Joining<'a> {
    all: &'a [Box<str>],
    /// Those that nobody has.
    new: Vec<&'a str>,
    /// The one by which the person was found; none, for somebody who comes anew.
    via: Option<&'a str>,
}

impl<'a, 'py> Whose<'a, 'py> {
    pub fn of(run: &Gathered<'py>, who: &'a Who) -> PyResult<Whose<'a, 'py>> {
        if let Some(found) = run.profiles.borrow().find(run.profiles.py(), who.owner()) {
            return Ok(found.cast_into().map_or(Whose::Unclear, |found| Whose::Persons(found, None)));
        }
        if who.identifiers().is_empty() || !run.is_whole {
            return Ok(Whose::Unclear);
        }
        Whose::by(run, who.identifiers())
    }

    /// By the identifiers one by one.
    fn by(run: &Gathered<'py>, all: &'a [Box<str>]) -> PyResult<Whose<'a, 'py>> {
        let (mut new, mut found) = (Vec::new(), None);
        for identifier in all {
            match (run.owners.get_item(&**identifier)?, &found) {
                (None, _) => new.push(&**identifier),
                (Some(owner), None) => found = Some((owner, &**identifier)),
                (Some(owner), Some((other, _))) if owner.eq(other)? => {}
                (Some(_), Some(_)) => return Ok(Whose::Unclear),
            }
        }
        let Some((owner, via)) = found else { return Ok(Whose::Nobodys(Joining { all, new, via: None })) };
        let found = run.profiles.borrow().find(run.profiles.py(), owner.extract()?);
        let Some(Ok(profile)) = found.map(Bound::cast_into) else { return Ok(Whose::Unclear) };
        Ok(Whose::Persons(profile, Some(Joining { all, new, via: Some(via) })))
    }
}

impl Joining<'_> {
    /// Make sure that the person may have them all. `Beyond`: Python knows more of it; nothing has changed.
    pub fn prepare(&self, py: Python<'_>, profile: &mut Profile) -> Here<()> {
        if profile.has_notes(py) {
            return Err(Beyond);
        }
        profile.prepare_links(py)?;
        let there = &profile.body(py, &[Field::Identifiers])?.identifiers;
        if there.len() + self.new.len() > IDENTIFIERS_MAX {
            return Err(Beyond);
        }
        let mut unique = there.iter().map(|(name, _)| &**name).find(|name| name.starts_with(UNIQUE));
        for identifier in self.all {
            let is_new = self.new.contains(&&**identifier);
            let is_there = there.iter().any(|(each, _)| each == identifier);
            let is_other = identifier.starts_with(UNIQUE) && *unique.get_or_insert(identifier) != &**identifier;
            if is_new == is_there || is_other {
                return Err(Beyond);
            }
        }
        Ok(())
    }

    /// Give the person of this id and profile what nobody has; the event at this position is the evidence.
    pub fn join(
        &self,
        run: &Gathered<'_>,
        (id, profile): (&Bound<'_, PyAny>, &mut Profile),
        (position, now_ms): (u64, i64),
    ) -> PyResult<()> {
        for identifier in &self.new {
            let name = PyString::new(id.py(), identifier);
            run.owners.set_item(&name, id)?;
            run.moved.set_item(&name, id)?;
            profile.opened().identifiers.push(((*identifier).into(), now_ms));
        }
        let first = &*self.all[0];
        let is_first_new = self.new.first() == Some(&first);
        let found = self.via.filter(|_| is_first_new);
        for identifier in found.iter().chain(&self.new[usize::from(is_first_new)..]) {
            let evidence = (run.partition, position, now_ms);
            profile.add_link(|out| write_link(out, (first, identifier), evidence));
        }
        Ok(())
    }
}

/// Append msgpack of a link (`onefold.model.profile.Link`).
fn write_link(out: &mut Vec<u8>, (a, b): (&str, &str), (partition, position, at_ms): (u64, u64, i64)) {
    write_list(out, 6);
    write_text(out, a);
    write_text(out, b);
    write_unsigned(out, partition);
    write_unsigned(out, position);
    write_text(out, SHARED_EVENT);
    write_int(out, at_ms);
}
