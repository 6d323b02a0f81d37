//! What a run gathers (`onefold.core.gathered`): the same as Python's containers, without an object for each thing in them.

pub mod effects;

pub use effects::Effects;
