//! What the compiler says of a slot: its function and its window, by name.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::value::Value;
use crate::{Beyond, Here};

/// The function of an aggregate (or `sequence`), and the fields of its node that are given (`onefold.language.nodes`).
#[derive(Clone, Debug)]
pub struct Description {
    pub function: String,
    params: Vec<(Box<str>, Value)>,
}

/// Which events count, by their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window<'a> {
    /// All.
    Lifetime,
    /// Those of the last so many milliseconds.
    Sliding(i64),
    /// Those within the first and not within the second.
    Between(i64, i64),
    /// Those of the calendar window of this name.
    Calendar(&'a str),
}

impl Description {
    pub fn new(function: &str, params: Vec<(Box<str>, Value)>) -> Description {
        Description { function: function.to_owned(), params }
    }

    /// `Beyond`: there is a parameter that is no value.
    pub fn of(function: &str, params: &Bound<'_, PyDict>) -> Here<Description> {
        match Value::of(params)? {
            Value::Map(params) => Ok(Description::new(function, params)),
            _ => Err(Beyond),
        }
    }

    /// A parameter; `Null` where it is not given.
    pub fn get(&self, name: &str) -> &Value {
        self.params.iter().find(|(each, _)| **each == *name).map_or(&Value::Null, |(_, value)| value)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        if let Value::Int(number) = self.get(name) { Some(*number) } else { None }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        if let Value::Str(text) = self.get(name) { Some(text) } else { None }
    }

    /// Whether it is given and true.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        matches!(self.get(name), Value::Bool(true))
    }

    /// The window of an aggregate.
    pub fn window(&self) -> Window<'_> {
        match (self.text("calendar"), self.int("within_ms"), self.int("until_ms")) {
            (Some(calendar), _, _) => Window::Calendar(calendar),
            (None, None, _) => Window::Lifetime,
            (None, Some(within_ms), None) => Window::Sliding(within_ms),
            (None, Some(within_ms), Some(until_ms)) => Window::Between(within_ms, until_ms),
        }
    }
}
