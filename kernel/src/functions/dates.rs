//! Instants and the calendar (`onefold.language.scalars.dates`). Days are counted from 1970-01-01.
//!
//! What moves with time also says when: the instant no later than the next at which it changes, or, where it is only
//! compared with a `level`, at which that comparison can.

use super::clocks::{next_day_ms, next_hour_ms};
use crate::civil::{DAY_MS, FIRST_MS, LAST_MS, date_of, days_in, days_of, weekday_of};
use crate::instants;
use crate::keeping::NEVER_MS;
use crate::zones::Zone;

const HOUR_MS: i64 = 3_600_000;
const LAST_YEAR: i64 = 9990;
const DAYS_OF_YEAR: f64 = 366.0;

/// An instant, or a day, which is the same in every zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    At(i64),
    Day(i64),
}

impl Moment {
    /// What a string names; of a date alone that day.
    pub fn named(text: &str) -> Option<Moment> {
        if is_date(text) { date(text).map(Moment::Day) } else { instants::parse(text).map(Moment::At) }
    }

    /// The local day; `None`: beyond the calendar.
    fn day(self, zone: &Zone) -> Option<i64> {
        match self {
            Moment::Day(day) => Some(day),
            Moment::At(at_ms) => local_ms(at_ms, zone).map(|local_ms| local_ms.div_euclid(DAY_MS)),
        }
    }
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |(place, byte): (usize, &u8)| if matches!(place, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() };
    bytes.len() == 10 && bytes.iter().enumerate().all(fits)
}

fn date(text: &str) -> Option<i64> {
    let (year, month, day) = (text[..4].parse().ok()?, text[5..7].parse().ok()?, text[8..].parse().ok()?);
    let is_day = year >= 1 && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    is_day.then(|| days_of(year, month, day))
}

fn local_ms(at_ms: i64, zone: &Zone) -> Option<i64> {
    (FIRST_MS..=LAST_MS).contains(&at_ms).then(|| zone.local_ms(at_ms))
}

// --- the calendar ---------------------------------------------------------------------------------------------
/// What is read of a moment in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Year,
    Month,
    Day,
    Weekday,
    Hour,
}

impl Part {
    pub fn of(self, moment: Moment, zone: &Zone) -> Option<i64> {
        match (self, moment) {
            (Part::Hour, Moment::Day(_)) => Some(0),
            (Part::Hour, Moment::At(at_ms)) => {
                local_ms(at_ms, zone).map(|local_ms| local_ms.rem_euclid(DAY_MS) / HOUR_MS)
            }
            _ => moment.day(zone).map(|day| self.of_day(day)),
        }
    }

    fn of_day(self, day: i64) -> i64 {
        let (year, month, of_month) = date_of(day);
        match self {
            Part::Year => year,
            Part::Month => month,
            Part::Day => of_month,
            Part::Weekday => weekday_of(day) + 1,
            Part::Hour => 0,
        }
    }

    /// When what is read of an instant that moves with time can change next.
    pub fn turn(self, moving_ms: i64, zone: &Zone, level: Option<f64>) -> i64 {
        if self == Part::Hour {
            return turn_of_hour(moving_ms, zone, level).unwrap_or(NEVER_MS);
        }
        let Some(here) = Moment::At(moving_ms).day(zone) else { return NEVER_MS };
        match level {
            Some(level) if date_of(here).0 <= LAST_YEAR => self.turn_at(moving_ms, zone, (here, level)),
            _ => next_day_ms(moving_ms, zone),
        }
    }

    fn turn_at(self, moving_ms: i64, zone: &Zone, (here, level): (i64, f64)) -> i64 {
        let moves = |day: &i64| side(self.of_day(*day), level) != side(self.of_day(here), level);
        let coming = if matches!(self, Part::Day | Part::Weekday) {
            (here + 1..here + 32).find(moves).unwrap_or(here + 31)
        } else {
            let mut firsts = (0..12).map(|ahead| first_of_month(here, ahead));
            firsts.find(moves).unwrap_or_else(|| first_of_month(here, 11))
        };
        if coming == here + 1 || moves(&(here - 1)) {
            return next_day_ms(moving_ms, zone);
        }
        zone.midnight_ms(coming - 1, false)
    }
}

/// The first day of the next month, or of one so many later.
fn first_of_month(day: i64, later: i64) -> i64 {
    let (year, month, _) = date_of(day);
    let months = year * 12 + month + later;
    days_of(months / 12, months % 12 + 1, 1)
}

/// -1 below the level, 0 at it, 1 above.
#[allow(clippy::cast_precision_loss)] // parts of dates are small
fn side(value: i64, level: f64) -> i8 {
    let value = value as f64;
    i8::from(value > level) - i8::from(value < level)
}

fn turn_of_hour(moving_ms: i64, zone: &Zone, level: Option<f64>) -> Option<i64> {
    let hour = Part::Hour.of(Moment::At(moving_ms), zone)?;
    let soon_ms = next_hour_ms(moving_ms, zone);
    let Some(level) = level else { return Some(soon_ms) };
    let hours = (1..24).position(|hours| side((hour + hours) % 24, level) != side(hour, level))?;
    let later_ms = soon_ms + i64::try_from(hours).ok()? * HOUR_MS;
    let offset_ms = |at_ms: i64| local_ms(at_ms, zone).map(|local_ms| local_ms - at_ms);
    Some(if offset_ms(later_ms) == offset_ms(moving_ms) { later_ms } else { soon_ms })
}

/// Midnights from the first local day to the second.
pub fn days_between(start: Moment, end: Moment, zone: &Zone) -> Option<i64> {
    Some(end.day(zone)? - start.day(zone)?)
}

/// When the local date of an instant that moves with time can change next.
pub fn turn_of_date(moving_ms: i64, zone: &Zone) -> i64 {
    if local_ms(moving_ms, zone).is_some() { next_day_ms(moving_ms, zone) } else { NEVER_MS }
}

// --- what moves with time ---------------------------------------------------------------------------------------
/// A value, and when it can change by itself.
pub type Timed<T> = Option<(T, i64)>;

/// Whole units between an instant and now, rounded down.
pub fn elapsed(at_ms: i64, unit_ms: i64, now_ms: i64, level: Option<f64>) -> (i64, i64) {
    let units = (now_ms - at_ms).div_euclid(unit_ms);
    let steps = level.map_or([units + 1; 2], |level| [whole(level.ceil()), whole(level.floor()) + 1]);
    let turns = steps.map(|step| at_ms.saturating_add(step.saturating_mul(unit_ms)));
    (units, turns.into_iter().filter(|turn| *turn > now_ms).min().unwrap_or(NEVER_MS))
}

/// A whole number; of one past all calendars one that is, too.
#[allow(clippy::cast_possible_truncation)] // within 2^53
fn whole(level: f64) -> i64 {
    level.clamp(-9_007_199_254_740_992.0, 9_007_199_254_740_992.0) as i64
}

/// `sign` times the local days from a moment to an instant that moves with time; the turn is of that instant.
pub fn days_from(at: Moment, moving_ms: i64, zone: &Zone, (sign, level): (i64, Option<f64>)) -> Timed<i64> {
    let (day, today) = (at.day(zone)?, Moment::At(moving_ms).day(zone)?);
    let value = sign * (today - day);
    let Some(level) = level else { return Some((value, next_day_ms(moving_ms, zone))) };
    let (low, high) = (day + sign * whole(level.floor()), day + sign * whole(level.ceil()));
    Some((value, turn(moving_ms, zone, today, &[low, low + 1, high, high + 1])))
}

/// Whole years from a local day to today: how often its anniversary has come.
pub fn years_since(at: Moment, zone: &Zone, now_ms: i64) -> Timed<i64> {
    let (day, today) = (at.day(zone)?, Moment::At(now_ms).day(zone)?);
    let (last, following) = anniversaries(day, today);
    let (year, this_year) = (date_of(day).0, date_of(today).0);
    let years = this_year - year - i64::from(in_year(day, this_year) > today);
    Some((years, turn(now_ms, zone, today, &[last, following])))
}

/// Days from today to the next anniversary of a local day; 0 on the anniversary itself.
pub fn days_until_anniversary(at: Moment, zone: &Zone, now_ms: i64, level: Option<f64>) -> Timed<i64> {
    let (day, today) = (at.day(zone)?, Moment::At(now_ms).day(zone)?);
    let (last, following) = anniversaries(day, today);
    let coming = if last == today { last } else { following };
    let value = coming - today;
    let Some(level) = level else { return Some((value, next_day_ms(now_ms, zone))) };
    if !(-1.0..=DAYS_OF_YEAR).contains(&level) {
        return Some((value, NEVER_MS));
    }
    let (late, early) = (coming - whole(level.floor()), coming - whole(level.ceil()));
    Some((value, turn(now_ms, zone, today, &[late, late + 1, early, early + 1, coming, coming + 1])))
}

/// Today has the day and month of a local day, whatever the year.
pub fn is_anniversary(at: Moment, zone: &Zone, now_ms: i64) -> Timed<bool> {
    let (day, today) = (at.day(zone)?, Moment::At(now_ms).day(zone)?);
    let (last, following) = anniversaries(day, today);
    Some((last == today, turn(now_ms, zone, today, &[last, last + 1, following])))
}

/// The latest that is not after today, and the one after it.
fn anniversaries(day: i64, today: i64) -> (i64, i64) {
    let year = date_of(today).0;
    let this = in_year(day, year);
    if this <= today { (this, in_year(day, year + 1)) } else { (in_year(day, year - 1), this) }
}

/// The anniversary in a year; that of 29 February is 28 February where there is no 29th.
fn in_year(day: i64, year: i64) -> i64 {
    match year {
        ..1 => days_of(1, 1, 1) - 1,
        10_000.. => days_of(9999, 12, 31),
        _ => {
            let (_, month, of_month) = date_of(day);
            days_of(year, month, of_month.min(days_in(year, month)))
        }
    }
}

/// No later than when the local date next passes one of these days' beginnings.
///
/// Beside one of them every change of date counts, since clocks put back at midnight bring a day twice.
fn turn(now_ms: i64, zone: &Zone, today: i64, edges: &[i64]) -> i64 {
    if edges.iter().any(|edge| (-1..=1).contains(&(edge - today))) {
        return next_day_ms(now_ms, zone);
    }
    match edges.iter().filter(|edge| **edge > today).min() {
        Some(ahead) if *ahead <= days_of(9999, 12, 28) => zone.midnight_ms(ahead - 1, false),
        _ => NEVER_MS,
    }
}
