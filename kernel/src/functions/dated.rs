//! A call of a function of the calendar: where its moments and its zone come from, and whom it wakes when.

use super::dates::{self, Moment, Part};
use crate::civil::{FIRST_MS, LAST_MS};
use crate::expression::{Expression, Scope};
use crate::keeping::NEVER_MS;
use crate::value::Value;
use crate::zones::{Zone, known};

/// Which function it is.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// So much later.
    Add(i64),
    Part(Part),
    DaysBetween,
    /// To (1) or from (-1) so long ago, which moves with time.
    DaysFrom {
        sign: i64,
        ago_ms: i64,
    },
    /// In units of so many milliseconds.
    Elapsed(i64),
    YearsSince,
    DaysUntilAnniversary,
    IsAnniversary,
}

/// A moment as an argument.
#[derive(Debug)]
pub enum Argument {
    /// An instant.
    At(Expression),
    /// What an instant or a date alone is written as.
    Written(Expression),
}

/// A zone as an argument.
#[derive(Debug)]
pub enum InZone {
    /// Of no zone.
    None,
    Fixed(&'static Zone),
    /// The one that this names.
    Named(Expression),
}

/// The call.
#[derive(Debug)]
pub struct Dated {
    pub asked: Asked,
    pub moments: Vec<Argument>,
    pub zone: InZone,
    /// How long ago those of its moments are that move with time.
    pub agos: Vec<i64>,
    /// The number that its value is only compared with.
    pub level: Option<f64>,
}

impl Dated {
    /// Its value; arms for when that moves.
    pub fn value(&self, scope: &Scope<'_>) -> Value {
        let (zone, moments) = (self.zone.find(scope), [self.moment(0, scope), self.moment(1, scope)]);
        if let Some(zone) = zone {
            for ago_ms in &self.agos {
                self.pass(zone, *ago_ms, scope);
            }
        }
        match self.asked {
            Asked::IsAnniversary => Value::Bool(is_anniversary(zone, moments[0], scope)),
            _ => self.number(zone, moments, scope).map_or(Value::Null, Value::Int),
        }
    }

    /// Wake the profile when what is read of an instant so long ago can change.
    fn pass(&self, zone: &Zone, ago_ms: i64, scope: &Scope<'_>) {
        let moving_ms = scope.now_ms - ago_ms;
        let turn = match self.asked {
            Asked::Part(part) => part.turn(moving_ms, zone, self.level),
            _ => dates::turn_of_date(moving_ms, zone),
        };
        wake(scope, turn, ago_ms);
    }

    fn number(&self, zone: Option<&Zone>, moments: [Option<Moment>; 2], scope: &Scope<'_>) -> Option<i64> {
        let (at, now_ms) = (moments[0]?, scope.now_ms);
        let (value, turn, ago_ms) = match (self.asked, at) {
            (Asked::Add(duration_ms), Moment::At(at_ms)) => {
                let later_ms = at_ms.saturating_add(duration_ms);
                return (FIRST_MS..=LAST_MS).contains(&later_ms).then_some(later_ms);
            }
            (Asked::Elapsed(unit_ms), Moment::At(at_ms)) => {
                let (value, turn) = dates::elapsed(at_ms, unit_ms, now_ms, self.level);
                (value, turn, 0)
            }
            (Asked::Part(part), at) => return part.of(at, zone?),
            (Asked::DaysBetween, at) => return dates::days_between(at, moments[1]?, zone?),
            (Asked::DaysFrom { sign, ago_ms }, at) => {
                let (value, turn) = dates::days_from(at, now_ms - ago_ms, zone?, (sign, self.level))?;
                (value, turn, ago_ms)
            }
            (Asked::YearsSince, at) => {
                let (value, turn) = dates::years_since(at, zone?, now_ms)?;
                (value, turn, 0)
            }
            (Asked::DaysUntilAnniversary, at) => {
                let (value, turn) = dates::days_until_anniversary(at, zone?, now_ms, self.level)?;
                (value, turn, 0)
            }
            _ => return None,
        };
        wake(scope, turn, ago_ms);
        Some(value)
    }

    fn moment(&self, place: usize, scope: &Scope<'_>) -> Option<Moment> {
        match self.moments.get(place)? {
            Argument::At(expression) => match *expression.value(scope) {
                Value::Int(at_ms) => Some(Moment::At(at_ms)),
                _ => None,
            },
            Argument::Written(expression) => match &*expression.value(scope) {
                Value::Str(text) => Moment::named(text),
                _ => None,
            },
        }
    }
}

impl InZone {
    fn find(&self, scope: &Scope<'_>) -> Option<&'static Zone> {
        match self {
            InZone::None => None,
            InZone::Fixed(zone) => Some(zone),
            InZone::Named(expression) => match &*expression.value(scope) {
                Value::Str(name) => known(name),
                _ => None,
            },
        }
    }
}

fn is_anniversary(zone: Option<&Zone>, at: Option<Moment>, scope: &Scope<'_>) -> bool {
    let timed = zone.zip(at).and_then(|(zone, at)| dates::is_anniversary(at, zone, scope.now_ms));
    timed.is_some_and(|(value, turn)| {
        wake(scope, turn, 0);
        value
    })
}

fn wake(scope: &Scope<'_>, turn: i64, ago_ms: i64) {
    if turn < NEVER_MS
        && let Some(person) = scope.person
    {
        person.wake_by(turn + ago_ms);
    }
}
