//! Audiences that compare one value with literals, sorted: a change finds those that it moves
//! (`onefold.language.stream.crossings`).

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::numbers::{Op, order, same};
use crate::value::Value;

/// The tests of one operator, by ascending literal.
struct Side {
    op: Op,
    /// Whether a value satisfies the tests before its place, else those from there on.
    above: bool,
    literals: Vec<Value>,
    audiences: Vec<usize>,
}

impl Side {
    /// Where a value stands among the literals; what is no number satisfies nothing.
    fn place(&self, value: &Value) -> usize {
        if !is_number(value) {
            return if self.above { 0 } else { self.literals.len() };
        }
        let after_equal = matches!(self.op, Op::AtLeast | Op::Less);
        self.literals.partition_point(|literal| match order(literal, value) {
            Some(Ordering::Less) => true,
            Some(Ordering::Equal) => after_equal,
            _ => false,
        })
    }
}

/// All tests of one value.
pub struct Crossings {
    sides: Vec<Side>,
    equal: HashMap<Box<str>, Vec<usize>>,
}

/// What becomes of the audience of this number: entered, or left.
pub trait Turns {
    fn turn(&mut self, audience: usize, enter: bool);
}

/// Tests of one operator: `(operator, literals, audiences)`, the two lists side by side.
pub type Tests = (Op, Vec<Value>, Vec<usize>);

impl Crossings {
    /// Of tests by ascending literal, and of audiences by the text that they ask for.
    #[must_use]
    pub fn new(sides: Vec<Tests>, equal: HashMap<Box<str>, Vec<usize>>) -> Crossings {
        let side =
            |(op, literals, audiences)| Side { op, above: matches!(op, Op::AtLeast | Op::More), literals, audiences };
        Crossings { sides: sides.into_iter().map(side).collect(), equal }
    }

    /// The value was `old` when the audiences were judged last, and is `new`: enter and leave accordingly.
    pub fn shift(&self, old: &Value, new: &Value, turns: &mut impl Turns) {
        for side in &self.sides {
            let (was, is) = (side.place(old), side.place(new));
            let enter = side.above == (was < is);
            for audience in &side.audiences[was.min(is)..was.max(is)] {
                turns.turn(*audience, enter);
            }
        }
        if self.equal.is_empty() || same(old, new) {
            return;
        }
        for (value, enter) in [(old, false), (new, true)] {
            if let Value::Str(text) = value
                && let Some(audiences) = self.equal.get(text)
            {
                for audience in audiences {
                    turns.turn(*audience, enter);
                }
            }
        }
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float(_))
}
