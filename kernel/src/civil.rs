//! Days as dates of the proleptic Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms").

/// Days that four hundred years have, after which all repeats.
pub const CYCLE_DAYS: i64 = 146_097;
/// Between these two instants each one has a local time in every zone; there are none beyond them.
pub const FIRST_MS: i64 = -62_135_424_000_000;
pub const LAST_MS: i64 = 253_402_041_600_000;
pub const DAY_MS: i64 = 86_400_000;
pub const DAY_S: i64 = 86_400;

/// Days since 1970-01-01.
#[must_use]
pub fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * CYCLE_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day.
#[must_use]
pub fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(CYCLE_DAYS), days.rem_euclid(CYCLE_DAYS));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// How many days a month has.
#[must_use]
pub fn days_in(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_of(next_year, next, 1) - days_of(year, month, 1)
}

/// 0 on Mondays.
#[must_use]
pub fn weekday_of(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}
