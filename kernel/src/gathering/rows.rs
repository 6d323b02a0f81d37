//! What a commit changed as the rows of an engine's tables, sorted (`onefold.storage.embedded.rows`).

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::gathering::instants::Instants;
use crate::keeping::NEVER_MS;
use crate::profile::Profile;

type Row<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// `onefold.storage.embedded.rows.Rows`.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Rows;

#[pymethods]
impl Rows {
    #[staticmethod]
    fn of_profiles<'py>(
        profiles: &Bound<'py, PyDict>,
        encoded: &Bound<'py, PyAny>,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, Bound<'py, PyAny>)>> {
        let mut rows = Vec::with_capacity(profiles.len());
        for profile in profiles.keys() {
            rows.push((profile.extract::<u64>()?, encoded.get_item(&profile)?));
        }
        rows.sort_unstable_by_key(|(profile, _)| *profile);
        Ok(rows.into_iter().map(|(profile, data)| (number(profiles.py(), profile), data)).collect())
    }

    #[staticmethod]
    fn of_identifiers<'py>(identifiers: &Bound<'py, PyDict>) -> PyResult<Vec<Row<'py>>> {
        let py = identifiers.py();
        let mut named = Vec::with_capacity(identifiers.len());
        for (name, owner) in identifiers {
            named.push((name.cast_into::<PyString>()?, owner.extract::<u64>()?));
        }
        let mut rows = Vec::with_capacity(named.len());
        for (name, owner) in &named {
            rows.push((name.to_str()?, *owner));
        }
        rows.sort_unstable();
        Ok(rows.into_iter().map(|(name, owner)| (PyBytes::new(py, name.as_bytes()), number(py, owner))).collect())
    }

    /// The keys of timers that are no more, and the rows of those that are from now on.
    #[staticmethod]
    fn of_timers<'py>(
        due: &Bound<'py, PyDict>,
        absorbed: &Bound<'py, PyDict>,
    ) -> PyResult<(Vec<Bound<'py, PyBytes>>, Vec<Row<'py>>)> {
        let py = due.py();
        let (mut gone, mut armed) = (Vec::new(), Vec::new());
        for (profile, instants) in due {
            let ((before, after), id) = (instants.extract::<(i64, i64)>()?, profile.extract()?);
            if before < NEVER_MS {
                gone.push(timer(before, id));
            }
            if after < NEVER_MS && !absorbed.contains(profile)? {
                armed.push(timer(after, id));
            }
        }
        gone.sort_unstable();
        armed.sort_unstable();
        let nothing = PyBytes::new(py, b"");
        Ok((
            gone.iter().map(|key| PyBytes::new(py, key)).collect(),
            armed.iter().map(|key| (PyBytes::new(py, key), nothing.clone())).collect(),
        ))
    }

    /// The rows of who has become a member, and the keys of who is none any more. `prefix`: what their keys begin with.
    #[staticmethod]
    fn of_members<'py>(
        prefix: &Bound<'py, PyBytes>,
        moved: &Bound<'py, PyAny>,
    ) -> PyResult<(Vec<Row<'py>>, Vec<Bound<'py, PyBytes>>)> {
        let members = if let Ok(native) = moved.cast::<Instants>() {
            native.borrow_mut().sorted()
        } else {
            let each = moved.cast::<PyDict>()?.iter();
            let mut members: Vec<(u64, i64)> =
                each.map(|(profile, at)| Ok((profile.extract()?, at.extract()?))).collect::<PyResult<_>>()?;
            members.sort_unstable();
            members
        };
        let (mut entered, mut left) = (Vec::new(), Vec::new());
        let mut key = prefix.as_bytes().to_vec();
        for (profile, at_ms) in members {
            key.truncate(prefix.as_bytes().len());
            key.extend(profile.to_be_bytes());
            let key = PyBytes::new(prefix.py(), &key);
            if at_ms == 0 {
                left.push(key);
            } else {
                entered.push((key, PyBytes::new(prefix.py(), &at_ms.to_be_bytes())));
            }
        }
        Ok((entered, left))
    }
}

/// Encode those of these profiles of which there are no bytes yet. `other`: encodes one that is not the kernel's.
#[pyfunction]
pub fn encode_profiles(
    profiles: &Bound<'_, PyDict>,
    encoded: &Bound<'_, PyDict>,
    other: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let mut out = Vec::new();
    for (id, profile) in profiles {
        if encoded.contains(&id)? {
            continue;
        }
        match profile.cast_exact::<Profile>() {
            Ok(native) => encoded.set_item(id, native.borrow_mut().encode_by(native.py(), &mut out)?)?,
            Err(_) => encoded.set_item(id, other.call1((profile,))?)?,
        }
    }
    Ok(())
}

fn number(py: Python<'_>, number: u64) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &number.to_be_bytes())
}

/// Partition, due, profile id.
fn timer(due_ms: i64, profile: u64) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = profile.to_be_bytes()[0];
    key[1..9].copy_from_slice(&due_ms.to_be_bytes());
    key[9..].copy_from_slice(&profile.to_be_bytes());
    key
}
