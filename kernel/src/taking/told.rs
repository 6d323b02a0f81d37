//! What has happened, as Python's effects (`onefold.model.effect`).

use std::borrow::Cow;

use crate::gathering::Effects;
use crate::gathering::effects::About;
use crate::handler::Compiled;
use crate::msgpack::{write_map, write_text, write_value};
use crate::taking::acting::Acting;
use crate::taking::gathered::{Gathered, Move};
use crate::value::Value;

/// The profile is there from now on; this is the first that an event does.
pub fn created(effects: &mut Effects, about: About) {
    effects.add("created", 0, about, (0, |_: &mut _| {}));
}

/// An event of this name is the profile's.
pub fn admitted(effects: &mut Effects, about: About, (n, name): (u64, &str)) {
    effects.add("admitted", n, about, (1, |out: &mut _| write_text(out, name)));
}

/// Effects and memberships of what has changed (`Run.tell`); `first`: the number of the first of these effects.
pub fn tell(run: &Gathered<'_>, (compiled, acting): (&Compiled, &Acting<'_>), about: About, first: u64) {
    let mut effects = run.effects.borrow_mut();
    let mut n = first;
    let changed = changed(compiled, acting);
    if !changed.is_empty() {
        effects.add("changed", n, about, (1, |out: &mut _| write_changed(out, &changed)));
        n += 1;
    }
    for (name, audience, entered) in compiled.moves(acting.outcome()) {
        let since_ms = if entered { about.now_ms } else { 0 };
        run.moves.borrow_mut().push(Move { audience, profile: about.profile, since_ms });
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
}

/// The traits that have changed, by what they are called in effects, each once.
fn changed<'a>(compiled: &'a Compiled, acting: &'a Acting<'_>) -> Vec<(Cow<'a, str>, &'a Value)> {
    let declared = acting.declaring().changed().map(|(name, value)| (format!("traits.{name}").into(), value));
    let mut changed: Vec<(Cow<'_, str>, &Value)> = declared.collect();
    for (name, value) in compiled.changed(acting.outcome()) {
        match changed.iter_mut().find(|(there, _)| there == name) {
            Some(there) => there.1 = value,
            None => changed.push((name.into(), value)),
        }
    }
    changed
}

fn write_changed(out: &mut Vec<u8>, changed: &[(Cow<'_, str>, &Value)]) {
    write_map(out, changed.len());
    for (name, value) in changed {
        write_text(out, name);
        write_value(out, value);
    }
}
