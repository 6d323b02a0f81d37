//! The native kernel behind the step: a profile as the state keeps it, and the definitions of one event name over it.
//!
//! Whatever is done here `onefold` does in Python, too, and does so wherever the kernel is not installed, or says of an
//! event that it is [`Beyond`] it. Both leave the very same bytes.

pub mod asking;
pub mod body;
pub mod civil;
pub mod collecting;
pub mod crossings;
pub mod declared;
pub mod definitions;
pub mod description;
pub mod entries;
pub mod escapes;
pub mod event;
pub mod expression;
pub mod functions;
pub mod gathering;
pub mod handler;
pub mod incoming;
mod index;
pub mod instants;
pub mod json;
pub mod keeping;
pub mod memory;
pub mod merging;
pub mod msgpack;
pub mod numbered;
pub mod numbers;
pub mod periods;
pub mod plan;
pub mod profile;
pub mod python;
pub mod shares;
pub mod taking;
pub mod texts;
pub mod tzif;
pub mod value;
pub mod waking;
pub mod who;
pub mod zones;

use pyo3::prelude::*;

/// Profiles are many small pieces that come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the kernel leaves to Python. Said before anything has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beyond;

/// What the kernel may leave to Python.
pub type Here<T> = Result<T, Beyond>;

/// What `onefold.kernel.API` expects: another number with each change that older code of either side cannot live with.
const API: u32 = 2;

#[pymodule]
fn onefold_kernel(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("API", API)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<profile::Profile>()?;
    module.add_class::<keeping::slot::Slot>()?;
    module.add_function(wrap_pyfunction!(asking::ask, module)?)?;
    module.add_function(wrap_pyfunction!(zones::read_zones_with, module)?)?;
    module.add_class::<collecting::Judge>()?;
    module.add_class::<handler::Compiled>()?;
    module.add_class::<handler::Handler>()?;
    module.add_class::<incoming::Decoder>()?;
    module.add_class::<gathering::Effects>()?;
    module.add_class::<gathering::filters::Filters>()?;
    module.add_class::<gathering::fingerprints::Fingerprints>()?;
    module.add_class::<gathering::Instants>()?;
    module.add_class::<gathering::Messages>()?;
    module.add_class::<gathering::rows::Rows>()?;
    module.add_class::<gathering::slices::Slices>()?;
    module.add_function(wrap_pyfunction!(gathering::rows::encode_profiles, module)?)?;
    module.add_class::<memory::Memory>()?;
    module.add_class::<memory::People>()?;
    module.add_class::<who::Who>()?;
    module.add_class::<who::Whos>()?;
    module.add_class::<taking::Taking>()?;
    module.add_class::<waking::Waking>()
}
