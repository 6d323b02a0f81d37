//! What a run gathers (`onefold.core.gathered`), and as what a state keeps that: the same as Python's containers, without
//! an object for each thing in them.

pub mod effects;
pub mod filters;
pub mod fingerprints;
pub mod instants;
pub mod messages;
pub mod ordered;
pub mod rows;
pub mod slices;

pub use effects::Effects;
pub use instants::Instants;
pub use messages::Messages;
