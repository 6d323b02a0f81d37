//! What definitions read of a profile, and change (`onefold.model.profile.Profile`).

use crate::declared::Declared;
use crate::entries::Entries;
use crate::keeping::State;
use crate::value::Value;

/// The part of a profile that definitions are about.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub first_seen_ms: i64,
    pub last_seen_ms: i64,
    pub events: i64,
    /// No later than the next instant at which anything here can change by itself.
    pub due_ms: i64,
    /// `namespace:value` → when it was first seen with this person.
    pub identifiers: Vec<(Box<str>, i64)>,
    /// State of each aggregate, by its key. `None` stands for no slot, and is never left behind.
    pub slots: Entries<Option<State>>,
    /// Some of them may be as they were stored: nobody has looked into them yet.
    pub has_stored: bool,
    /// Plans that have looked into all of theirs since (`Plan::id`).
    pub opened: Vec<u32>,
    /// Trait → value; a trait without a value is absent.
    pub computed: Entries<Value>,
    /// Audience → when the profile entered it.
    pub audiences: Entries<i64>,
    pub declared: Declared,
}
