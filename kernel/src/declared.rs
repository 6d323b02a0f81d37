//! What events have said of a person: of each trait the latest word (`onefold.model.profile.Declared`).

use smallvec::SmallVec;

use crate::msgpack::{Reader, write_bytes, write_int, write_list, write_map, write_text, write_unsigned, write_value};
use crate::value::Value;
use crate::{Beyond, Here};

/// As `onefold.limits.PROFILE_TRAITS_MAX`.
const TRAITS_MAX: usize = 1_000;
/// A word has so many parts.
const PARTS: usize = 4;
/// Stored where the place of an event is not known.
const NO_PLACE: i64 = -1;

/// What decides between equal times: an event's fingerprint.
pub type Tie = SmallVec<[u8; 16]>;

/// When something was said: the latest time wins, then the greater tie; and the event's place, if it is known.
#[derive(Clone, Debug)]
pub struct Said {
    pub at_ms: i64,
    pub tie: Tie,
    pub place: Option<u64>,
}

/// A trait's value, with the event that said it.
#[derive(Clone, Debug)]
struct Word {
    value: Value,
    said: Said,
}

/// The traits that a person has declared, in the order in which they came first.
#[derive(Clone, Debug, Default)]
pub struct Declared(Vec<(Box<str>, Word)>);

/// What an event is about to change of them.
#[derive(Debug, Default)]
pub struct Declaring {
    /// What is said anew: the trait's place among the others, or past their end, and whether it has another value now.
    words: Vec<(usize, Box<str>, Value, bool)>,
}

impl Declaring {
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The traits that get another value, in the order in which the event has them.
    pub fn changed(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.words.iter().filter(|(.., is_other)| *is_other).map(|(_, name, value, _)| (&**name, value))
    }
}

impl Declared {
    /// One trait after the other, as somebody has them who has said all at once.
    pub fn of(traits: impl IntoIterator<Item = (Box<str>, Value)>) -> Declared {
        let said = Said { at_ms: 0, tie: Tie::new(), place: None };
        Declared(traits.into_iter().map(|(name, value)| (name, Word { value, said: said.clone() })).collect())
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.word(name).map(|(_, word)| &word.value)
    }

    fn word(&self, name: &str) -> Option<(usize, &Word)> {
        let place = self.0.iter().position(|(each, _)| **each == *name)?;
        Some((place, &self.0[place].1))
    }

    /// What it would change if an event said this now (`onefold.core.fold.declare_all`).
    pub fn hear(&self, traits: Vec<(Box<str>, Value)>, said: &Said) -> Declaring {
        let mut words = Vec::with_capacity(traits.len());
        let mut count = self.0.len();
        for (name, value) in traits {
            if value.is_null() {
                continue;
            }
            match self.word(&name) {
                Some((place, old)) if (old.said.at_ms, &old.said.tie) < (said.at_ms, &said.tie) => {
                    let is_other = !old.value.is_identical(&value);
                    words.push((place, name, value, is_other));
                }
                None if count < TRAITS_MAX => {
                    words.push((count, name, value, true));
                    count += 1;
                }
                _ => {}
            }
        }
        Declaring { words }
    }

    /// Do so.
    pub fn take(&mut self, declaring: &Declaring, said: &Said) {
        for (place, name, value, _) in &declaring.words {
            let word = Word { value: value.clone(), said: said.clone() };
            match self.0.get_mut(*place) {
                Some((_, old)) => *old = word,
                None => self.0.push((name.clone(), word)),
            }
        }
    }

    pub fn read(reader: &mut Reader<'_>) -> Here<Declared> {
        let size = reader.map()?;
        let mut words = Vec::with_capacity(size.min(reader.rest().len()));
        for _ in 0..size {
            words.push((reader.text()?.into(), Word::read(reader)?));
        }
        Ok(Declared(words))
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        write_map(out, self.0.len());
        for (name, word) in &self.0 {
            write_text(out, name);
            word.write(out);
        }
    }
}

impl Word {
    fn read(reader: &mut Reader<'_>) -> Here<Word> {
        if reader.list()? != PARTS {
            return Err(Beyond);
        }
        let value = reader.value()?;
        let (at_ms, tie) = (reader.int()?, reader.bytes()?.into());
        let place = match reader.unsigned() {
            Ok(place) => Some(place),
            Err(Beyond) if reader.int()? == NO_PLACE => None,
            Err(Beyond) => return Err(Beyond),
        };
        Ok(Word { value, said: Said { at_ms, tie, place } })
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, PARTS);
        write_value(out, &self.value);
        write_int(out, self.said.at_ms);
        write_bytes(out, &self.said.tie);
        match self.said.place {
            Some(place) => write_unsigned(out, place),
            None => write_int(out, NO_PLACE),
        }
    }
}
