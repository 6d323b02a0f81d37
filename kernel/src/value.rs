//! Values as the language knows them: JSON, with integers of 64 bits (`onefold.language.values`).

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::{Beyond, Here};

/// A value; missing is `Null`. Objects keep the order in which their keys came, as Python's do.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Box<str>),
    Bytes(Box<[u8]>),
    List(Vec<Value>),
    Map(Vec<(Box<str>, Value)>),
}

impl Value {
    /// What stands here in Python. `Beyond`: an integer past 64 bits, text that is no Unicode, another kind of object.
    pub fn of(object: &Bound<'_, PyAny>) -> Here<Value> {
        if object.is_none() {
            Ok(Value::Null)
        } else if let Ok(text) = object.cast_exact::<PyString>() {
            Ok(Value::Str(text.to_str().map_err(|_| Beyond)?.into()))
        } else if let Ok(number) = object.cast_exact::<PyFloat>() {
            Ok(Value::Float(number.value()))
        } else if let Ok(number) = object.cast_exact::<PyInt>() {
            Ok(Value::Int(number.extract().map_err(|_| Beyond)?))
        } else if let Ok(truth) = object.cast_exact::<PyBool>() {
            Ok(Value::Bool(truth.is_true()))
        } else if let Ok(list) = object.cast_exact::<PyList>() {
            list.iter().map(|item| Value::of(&item)).collect::<Here<_>>().map(Value::List)
        } else if let Ok(tuple) = object.cast::<PyTuple>() {
            tuple.iter().map(|item| Value::of(&item)).collect::<Here<_>>().map(Value::List)
        } else if let Ok(map) = object.cast_exact::<PyDict>() {
            let pair = |(key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
                let key = key.cast_exact::<PyString>().map_err(|_| Beyond)?.to_str().map_err(|_| Beyond)?.into();
                Ok((key, Value::of(&value)?))
            };
            map.iter().map(pair).collect::<Here<_>>().map(Value::Map)
        } else if let Ok(bytes) = object.cast_exact::<PyBytes>() {
            Ok(Value::Bytes(bytes.as_bytes().into()))
        } else {
            Err(Beyond)
        }
    }

    /// Equal and of the same kinds throughout: `1`, `1.0` and `true` are three values (`language.values.identical`).
    pub fn is_identical(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_identical(b)),
            (Value::Map(a), Value::Map(b)) => {
                let same = |key: &str, value: &Value| b.iter().any(|(k, v)| **k == *key && value.is_identical(v));
                a.len() == b.len() && a.iter().all(|(key, value)| same(key, value))
            }
            _ => false,
        }
    }

    /// The same for Python.
    pub fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Value::Null => py.None().into_bound(py),
            Value::Bool(truth) => PyBool::new(py, *truth).to_owned().into_any(),
            Value::Int(number) => number.into_pyobject(py)?.into_any(),
            Value::Float(number) => PyFloat::new(py, *number).into_any(),
            Value::Str(text) => PyString::new(py, text).into_any(),
            Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
            Value::List(items) => {
                let items = items.iter().map(|item| item.to_python(py)).collect::<PyResult<Vec<_>>>()?;
                PyList::new(py, items)?.into_any()
            }
            Value::Map(pairs) => {
                let map = PyDict::new(py);
                for (key, value) in pairs {
                    map.set_item(&**key, value.to_python(py)?)?;
                }
                map.into_any()
            }
        })
    }
}
