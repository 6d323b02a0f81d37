//! When a local day or hour ends (`onefold.language.zones`).

use crate::civil::DAY_MS;
use crate::zones::Zone;

const HOUR_MS: i64 = 3_600_000;

/// No later than the next instant at which the local date changes.
pub fn next_day_ms(now_ms: i64, zone: &Zone) -> i64 {
    let tomorrow = zone.local_ms(now_ms).div_euclid(DAY_MS) + 1;
    let mut until_ms = zone.midnight_ms(tomorrow, false);
    if until_ms <= now_ms {
        until_ms = zone.midnight_ms(tomorrow, true);
    }
    before_clocks_change(now_ms, until_ms, zone)
}

/// No later than the next instant at which the local hour changes.
pub fn next_hour_ms(now_ms: i64, zone: &Zone) -> i64 {
    before_clocks_change(now_ms, now_ms - zone.local_ms(now_ms).rem_euclid(HOUR_MS) + HOUR_MS, zone)
}

/// `until_ms`, or the earlier instant at which clocks are put forward or back, found by bisection to the ms.
fn before_clocks_change(now_ms: i64, until_ms: i64, zone: &Zone) -> i64 {
    let until_ms = until_ms.min(now_ms + 2 * DAY_MS);
    let offset = |at_ms: i64| zone.offset_s(at_ms.div_euclid(1000));
    let before = offset(now_ms);
    if offset(until_ms) == before {
        return until_ms;
    }
    let (mut low, mut high) = (now_ms, until_ms);
    while high - low > 1 {
        let middle = (low + high).div_euclid(2);
        if offset(middle) == before {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
