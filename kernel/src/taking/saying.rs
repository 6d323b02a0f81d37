//! What an event declares of its person (`onefold.core.fold`).

use crate::Here;
use crate::event::Kind;
use crate::incoming::Incoming;
use crate::value::Value;

type Traits = Vec<(Box<str>, Value)>;

/// The traits that an event declares, in their order: those of the context come first, and the event's own count.
pub fn traits_of(incoming: &Incoming) -> Here<Traits> {
    let read = &incoming.read;
    match read.kind {
        Kind::Identify => {
            let more = incoming.value(read.more_traits)?;
            Ok(with(object(more), object(incoming.value(read.traits)?)))
        }
        Kind::Group => {
            let id = vec![("id".into(), incoming.value(read.group)?)];
            let group = with(id, object(incoming.value(read.traits)?));
            Ok(vec![("group".into(), Value::Map(group))])
        }
        _ => Ok(Traits::new()),
    }
}

fn object(value: Value) -> Traits {
    match value {
        Value::Map(pairs) => pairs,
        _ => Traits::new(),
    }
}

/// Some traits, and others over them.
fn with(mut traits: Traits, others: Traits) -> Traits {
    for (name, value) in others {
        match traits.iter_mut().find(|(each, _)| **each == *name) {
            Some((_, old)) => *old = value,
            None => traits.push((name, value)),
        }
    }
    traits
}
