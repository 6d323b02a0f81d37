//! Instants as events write them, and as Python's calendar shows them (`onefold.language.instants`).

use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDelta, PyDeltaAccess, PyTzInfo};

use crate::civil::{DAY_MS, FIRST_MS, LAST_MS, date_of, days_in, days_of};
use crate::{Beyond, Here};

const MAX_CHARS: usize = 64;

/// Milliseconds since 1970 UTC (finer digits cut off) of RFC 3339, or of a date alone; `None`: it is no instant.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() > MAX_CHARS || bytes.len() < 10 {
        return None;
    }
    let day = day_of(&bytes[..10])?;
    let at_ms = if bytes.len() == 10 { day * DAY_MS } else { day * DAY_MS + clock_ms(&bytes[10..])? };
    (FIRST_MS..=LAST_MS).contains(&at_ms).then_some(at_ms)
}

/// The same of an event's own times: written as decoders of RFC 3339 take them, a `T`, microseconds at most, and a zone.
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, clock) = text.as_bytes().split_at_checked(10)?;
    let rest = clock.get(9..)?;
    let zone = match rest.split_first()? {
        (b'.', digits) => &digits[digits.iter().take_while(|byte| byte.is_ascii_digit()).count()..],
        _ => rest,
    };
    let is_written_so = clock[0] == b'T' && rest.len() - zone.len() <= ".123456".len();
    let has_zone = matches!(zone, [b'Z'] | [b'+' | b'-', _, _, b':', b'0'..=b'5', _]);
    if is_written_so && has_zone { Some(day_of(date)? * DAY_MS + clock_ms(clock)?) } else { None }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |all, byte| byte.is_ascii_digit().then(|| all * 10 + i64::from(byte - b'0')))
}

fn day_of(bytes: &[u8]) -> Option<i64> {
    let (year, month, day) = (digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..10])?);
    let is_written_so = bytes[4] == b'-' && bytes[7] == b'-';
    let is_day = year >= 1 && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    (is_written_so && is_day).then(|| days_of(year, month, day))
}

/// The time of day, with what its offset adds.
fn clock_ms(bytes: &[u8]) -> Option<i64> {
    if bytes.len() < 9 || !matches!(bytes[0], b'T' | b't' | b' ') || bytes[3] != b':' || bytes[6] != b':' {
        return None;
    }
    let (hour, minute, second) = (digits(&bytes[1..3])?, digits(&bytes[4..6])?, digits(&bytes[7..9])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction_ms, rest) = fraction_ms(&bytes[9..])?;
    Some((hour * 3600 + minute * 60 + second) * 1000 + fraction_ms - offset_ms(rest)?)
}

fn fraction_ms(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = bytes.split_first() else { return Some((0, bytes)) };
    let size = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if size == 0 || size > 30 {
        return None;
    }
    let ms = (0..3).fold(0, |all, place| all * 10 + rest[..size].get(place).map_or(0, |byte| i64::from(byte - b'0')));
    Some((ms, &rest[size..]))
}

fn offset_ms(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [] | [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let minutes = digits(&[*h1, *h2])? * 60 + digits(&[*m1, *m2])?;
            let size = (minutes < 24 * 60).then_some(minutes * 60_000)?;
            Some(if *sign == b'+' { size } else { -size })
        }
        _ => None,
    }
}

/// The `datetime` of an instant, in UTC.
pub fn to_python(py: Python<'_>, at_ms: i64) -> PyResult<Bound<'_, PyAny>> {
    let (year, month, day) = date_of(at_ms.div_euclid(DAY_MS));
    let of_day = at_ms.rem_euclid(DAY_MS);
    let (seconds, micros) = (of_day / 1_000, of_day % 1_000 * 1_000);
    let byte = |number: i64| u8::try_from(number).unwrap_or_default();
    let utc = PyTzInfo::utc(py)?;
    let date = (i32::try_from(year)?, byte(month), byte(day));
    let clock = (byte(seconds / 3600), byte(seconds / 60 % 60), byte(seconds % 60));
    let micros = u32::try_from(micros)?;
    let found = PyDateTime::new(py, date.0, date.1, date.2, clock.0, clock.1, clock.2, micros, Some(&utc))?;
    Ok(found.into_any())
}

/// Of a `datetime` in whole milliseconds, with its zone.
pub fn of_python(instant: &Bound<'_, PyDateTime>) -> Here<i64> {
    let since = (|| {
        let epoch = to_python(instant.py(), 0)?;
        Ok::<_, PyErr>(instant.as_any().sub(epoch)?.cast_into::<PyDelta>()?)
    })();
    let since = since.map_err(|_| Beyond)?;
    let micros = i64::from(since.get_microseconds());
    if micros % 1_000 != 0 {
        return Err(Beyond);
    }
    Ok((i64::from(since.get_days()) * 86_400 + i64::from(since.get_seconds())) * 1_000 + micros / 1_000)
}
