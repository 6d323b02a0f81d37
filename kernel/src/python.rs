//! What the kernel asks of Python: msgpack of objects that it does not know, and fields of profiles as objects.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::msgpack::{write_bytes, write_float, write_int, write_list, write_map, write_nil, write_text};

const MODEL: &str = "onefold.model.profile";

/// A function of `onefold.model.profile`, looked up once.
fn asked<'py>(py: Python<'py>, cell: &'static PyOnceLock<Py<PyAny>>, name: &str) -> PyResult<&'py Bound<'py, PyAny>> {
    cell.get_or_try_init(py, || Ok(py.import(MODEL)?.getattr(name)?.unbind())).map(|found| found.bind(py))
}

/// A field of a profile from its msgpack, as `onefold.model.profile.thawed` makes it.
pub fn thawed<'py>(py: Python<'py>, field: &str, stored: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    asked(py, &CELL, "thawed")?.call1((field, PyBytes::new(py, stored)))
}

/// The same profile as Python's own, as `onefold.model.profile.decode` makes it.
pub fn decoded<'py>(py: Python<'py>, stored: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    asked(py, &CELL, "decode")?.call1((stored,))
}

/// Append msgpack of an object, byte for byte what msgspec writes; where the kernel does not know its kind, msgspec does.
pub fn write_object(out: &mut Vec<u8>, object: &Bound<'_, PyAny>) -> PyResult<()> {
    if object.is_none() {
        write_nil(out);
    } else if let Ok(text) = object.cast_exact::<PyString>() {
        write_text(out, text.to_str()?);
    } else if let Ok(number) = object.cast_exact::<PyInt>() {
        match number.extract() {
            Ok(number) => write_int(out, number),
            Err(_) => write_other(out, object)?,
        }
    } else if let Ok(number) = object.cast_exact::<PyFloat>() {
        write_float(out, number.value());
    } else if let Ok(truth) = object.cast_exact::<PyBool>() {
        out.push(0xc2 | u8::from(truth.is_true()));
    } else if let Ok(bytes) = object.cast_exact::<PyBytes>() {
        write_bytes(out, bytes.as_bytes());
    } else if let Ok(list) = object.cast_exact::<PyList>() {
        write_list(out, list.len());
        list.iter().try_for_each(|item| write_object(out, &item))?;
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        write_list(out, tuple.len());
        tuple.iter().try_for_each(|item| write_object(out, &item))?;
    } else if let Ok(map) = object.cast_exact::<PyDict>() {
        write_map(out, map.len());
        for (key, value) in map.iter() {
            write_object(out, &key)?;
            write_object(out, &value)?;
        }
    } else {
        write_other(out, object)?;
    }
    Ok(())
}

fn write_other(out: &mut Vec<u8>, object: &Bound<'_, PyAny>) -> PyResult<()> {
    static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let bytes = asked(object.py(), &CELL, "encode_part")?.call1((object,))?;
    out.extend(bytes.cast::<PyBytes>()?.as_bytes());
    Ok(())
}
