//! Calendar periods in a time zone (`onefold.language.keeping.periods`).

use crate::civil::{DAY_MS, FIRST_MS, LAST_MS, date_of, days_of};
use crate::zones::Zone;

/// 1970-01-01 was so many days after a Monday.
const MONDAY: i64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Day,
    Week,
    /// So many of them.
    Months(i64),
}

/// The periods of one kind in one zone.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    kind: Kind,
    zone: &'static Zone,
}

impl Periods {
    /// Those of this kind, one of `nodes.PERIODS`; `None`: there is no such kind.
    #[must_use]
    pub fn of(kind: &str, zone: &'static Zone) -> Option<Periods> {
        let kind = match kind {
            "day" => Kind::Day,
            "week" => Kind::Week,
            "month" => Kind::Months(1),
            "quarter" => Kind::Months(3),
            "year" => Kind::Months(12),
            _ => return None,
        };
        Some(Periods { kind, zone })
    }

    /// Those of the same kind in another zone.
    #[must_use]
    pub fn in_zone(self, zone: &'static Zone) -> Periods {
        Periods { zone, ..self }
    }

    /// The period that the instant lies in; beyond all calendars, that of their first or last day.
    #[must_use]
    pub fn index(&self, at_ms: i64) -> i64 {
        let at_ms = at_ms.clamp(FIRST_MS, LAST_MS);
        let found = self.holding(self.zone.local_ms(at_ms).div_euclid(DAY_MS));
        // Where clocks are put back over midnight, the hour that is repeated belongs to the day that had begun.
        found + i64::from(at_ms >= self.start_ms(found + 1))
    }

    /// The period that the instant lies in, when it begins, and when the next one does.
    #[must_use]
    pub fn around(&self, at_ms: i64) -> (i64, i64, i64) {
        let found = self.index(at_ms);
        (found, self.start_ms(found), self.start_ms(found + 1))
    }

    /// When a period begins; of those before the first date or after the last, that date.
    #[must_use]
    pub fn start_ms(&self, index: i64) -> i64 {
        match self.first_day(index) {
            Some(day) => self.zone.midnight_ms(day, false),
            None if index < 0 => FIRST_MS,
            None => LAST_MS,
        }
    }

    fn holding(&self, day: i64) -> i64 {
        match self.kind {
            Kind::Day => day,
            Kind::Week => (day + MONDAY).div_euclid(7),
            Kind::Months(months) => {
                let (year, month, _) = date_of(day);
                (year * 12 + month - 1).div_euclid(months)
            }
        }
    }

    /// `None`: there is no such date.
    fn first_day(&self, index: i64) -> Option<i64> {
        let day = match self.kind {
            Kind::Day => index,
            Kind::Week => index.checked_mul(7)? - MONDAY,
            Kind::Months(months) => {
                let month = index.checked_mul(months)?;
                let year = month.div_euclid(12);
                if !(1..=9999).contains(&year) {
                    return None;
                }
                days_of(year, month.rem_euclid(12) + 1, 1)
            }
        };
        (days_of(1, 1, 1)..=days_of(9999, 12, 31)).contains(&day).then_some(day)
    }
}
