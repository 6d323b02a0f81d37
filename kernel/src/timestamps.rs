//! Timestamps as events write them: RFC 3339, to the microsecond.

const DAY_MS: i64 = 86_400_000;

/// Whole milliseconds since 1970 UTC of `2026-01-31T12:00:00.123Z`, also with an offset. None: it is written otherwise.
#[must_use]
pub fn parse_timestamp(text: &[u8]) -> Option<i64> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(place, mark)| date_time[*place] != *mark) {
        return None;
    }
    let (year, month, day) = (digits(&date_time[..4])?, digits(&date_time[5..7])?, digits(&date_time[8..10])?);
    let (hour, minute) = (digits(&date_time[11..13])?, digits(&date_time[14..16])?);
    let second = digits(&date_time[17..])?;
    if year == 0 || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (ms, zone) = match rest.strip_prefix(b".") {
        None => (0, rest),
        Some(rest) => {
            let size = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if size == 0 || size > 6 {
                return None;
            }
            let first: i64 = digits(&rest[..size.min(3)])?;
            (first * [100, 10, 1][size.min(3) - 1], &rest[size..])
        }
    };
    let time_ms = ((hour * 60 + minute) * 60 + second) * 1000 + ms;
    Some(days_since_1970(year, month, day) * DAY_MS + time_ms - offset_ms(zone)?)
}

fn offset_ms(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let ms = (hours * 60 + minutes) * 60_000;
            Some(if *sign == b'+' { ms } else { -ms })
        }
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |all, byte| byte.is_ascii_digit().then(|| all * 10 + i64::from(byte - b'0')))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
