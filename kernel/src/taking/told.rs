//! What has happened, as Python's effects (`onefold.model.effect`).

use pyo3::prelude::*;

use crate::gathering::effects::About;
use crate::gathering::{Effects, Instants};
use crate::handler::{Handler, Working};
use crate::msgpack::write_text;
use crate::taking::gathered::Gathered;

/// The profile is there from now on; this is the first that an event does.
pub fn created(effects: &mut Effects, about: About) {
    effects.add("created", 0, about, (0, |_: &mut _| {}));
}

/// An event of this name is the profile's.
pub fn admitted(effects: &mut Effects, about: About, (n, name): (u64, &str)) {
    effects.add("admitted", n, about, (1, |out: &mut _| write_text(out, name)));
}

/// Effects and memberships of what has changed (`Run.tell`); `first`: the number of the first of these effects.
pub fn tell(run: &Gathered<'_>, (handler, working): (&Handler, &Working), about: About, first: u64) -> PyResult<()> {
    let mut effects = run.effects.borrow_mut();
    let mut n = first;
    if handler.has_changed(working) {
        effects.add("changed", n, about, (1, |out: &mut _| handler.write_changed(working, out)));
        n += 1;
    }
    for (name, audience, entered) in handler.moves(run.members.py(), working) {
        let members = run.members.get_item(audience)?;
        members.cast::<Instants>()?.borrow_mut().0.set(about.profile, if entered { about.now_ms } else { 0 });
        if entered {
            effects.add("entered", n, about, (1, |out: &mut _| write_text(out, name)));
        } else {
            let write = |out: &mut _| {
                write_text(out, name);
                write_text(out, "event");
            };
            effects.add("left", n, about, (2, write));
        }
        n += 1;
    }
    Ok(())
}
