//! Files of time zones: `TZif` of version 2 and later (RFC 9636), with the rule for what comes after all they list.

use crate::civil::{DAY_S, days_in, days_of, weekday_of};
use crate::zones::{RULES_FROM, Zone};

const HOUR_S: i64 = 3600;
const CYCLE_YEARS: i64 = 400;

/// The zone in this file; `None`: it has a form that is not known here.
#[must_use]
pub fn read(file: &[u8]) -> Option<Zone> {
    let (first, rest) = Block::split(file, 4)?;
    if first.version < b'2' {
        return None;
    }
    let (block, rest) = Block::split(rest, 8)?;
    let footer = std::str::from_utf8(rest).ok()?.strip_prefix('\n')?.strip_suffix('\n')?;
    let rule = Rule::parse(footer)?;
    let mut changes = block.changes()?;
    let Some(last) = changes.last().copied() else {
        return rule.dst.is_none().then(|| Zone::new(rule.std_s, &[]));
    };
    if last.0 >= days_of(RULES_FROM, 1, 1) * DAY_S {
        return None;
    }
    changes.extend(rule.changes().filter(|change| change.0 > last.0));
    Some(Zone::new(block.before()?, &changes))
}

/// What a file lists: once with times of four bytes, once of eight.
struct Block<'a> {
    version: u8,
    times: &'a [u8],
    /// Of each time, the number of its type.
    types_of: &'a [u8],
    types: &'a [u8],
}

impl<'a> Block<'a> {
    fn split(file: &'a [u8], width: usize) -> Option<(Block<'a>, &'a [u8])> {
        let (head, mut rest) = file.split_at_checked(44)?;
        let count = |number: usize| usize::try_from(int(head.get(20 + 4 * number..24 + 4 * number)?)).ok();
        let mut part = |size: usize| {
            let (part, behind) = rest.split_at_checked(size)?;
            rest = behind;
            Some(part)
        };
        let (times, types) = (count(3)?, count(4)?);
        let block =
            Block { version: head[4], times: part(times * width)?, types_of: part(times)?, types: part(types * 6)? };
        part(count(5)? + count(2)? * (width + 4) + count(1)? + count(0)?)?;
        head.starts_with(b"TZif").then_some((block, rest))
    }

    fn changes(&self) -> Option<Vec<(i64, i64)>> {
        let times = self.times.chunks_exact(8).map(int);
        times.zip(self.types_of).map(|(at_s, number)| Some((at_s, self.offset(usize::from(*number))?))).collect()
    }

    /// What holds before everything that is listed: the first type that is not daylight-saving time.
    fn before(&self) -> Option<i64> {
        let standard = self.types.chunks_exact(6).position(|each| each[4] == 0);
        self.offset(standard.unwrap_or_else(|| usize::from(self.types_of[0])))
    }

    fn offset(&self, number: usize) -> Option<i64> {
        Some(int(self.types.get(number * 6..number * 6 + 4)?))
    }
}

/// A signed integer, big-endian.
fn int(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    bytes.iter().fold(if negative { -1 } else { 0 }, |all, byte| all << 8 | i64::from(*byte))
}

/// What a zone does from then on: a `TZ` string of POSIX.
struct Rule {
    std_s: i64,
    /// Daylight-saving time: its offset, when it begins, and when it ends.
    dst: Option<(i64, Turn, Turn)>,
}

/// The n-th of a weekday in a month (5: the last), and the local time of the change.
struct Turn {
    month: i64,
    nth: i64,
    /// 0 on Sundays.
    weekday: i64,
    time_s: i64,
}

impl Rule {
    fn parse(text: &str) -> Option<Rule> {
        let (zones, turns) = text.split_once(',').map_or((text, None), |(zones, turns)| (zones, Some(turns)));
        let (std_s, rest) = offset(name(zones)?)?;
        let std_s = -std_s?;
        let Some(turns) = turns else { return rest.is_empty().then_some(Rule { std_s, dst: None }) };
        let (dst_s, rest) = offset(name(rest)?)?;
        let (begin, end) = turns.split_once(',')?;
        let dst_s = dst_s.map_or(std_s + HOUR_S, |dst_s| -dst_s);
        rest.is_empty().then_some(Rule { std_s, dst: Some((dst_s, Turn::parse(begin)?, Turn::parse(end)?)) })
    }

    /// All changes that it ever brings, until they repeat.
    fn changes(&self) -> impl Iterator<Item = (i64, i64)> {
        let of_year = |year| {
            let (dst_s, begin, end) = self.dst.as_ref()?;
            let mut both = [(begin.local_s(year) - self.std_s, *dst_s), (end.local_s(year) - dst_s, self.std_s)];
            both.sort_unstable();
            Some(both)
        };
        (1900..=RULES_FROM + CYCLE_YEARS).filter_map(of_year).flatten()
    }
}

impl Turn {
    fn parse(text: &str) -> Option<Turn> {
        let (date, time) = text.split_once('/').unwrap_or((text, "2"));
        let mut parts = date.strip_prefix('M')?.split('.').map(|part| part.parse().ok());
        let (month, nth, weekday) = (parts.next()??, parts.next()??, parts.next()??);
        let is_known = (1..=12).contains(&month) && (1..=5).contains(&nth) && (0..=6).contains(&weekday);
        let (time_s, rest) = offset(time)?;
        let whole = is_known && rest.is_empty() && parts.next().is_none();
        whole.then_some(Turn { month, nth, weekday, time_s: time_s? })
    }

    fn local_s(&self, year: i64) -> i64 {
        let first = days_of(year, self.month, 1);
        let mut day = (self.weekday - weekday_of(first) - 1).rem_euclid(7) + 7 * (self.nth - 1);
        if day >= days_in(year, self.month) {
            day -= 7;
        }
        (first + day) * DAY_S + self.time_s
    }
}

/// What comes after the name of a zone.
fn name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>').map(|(_, rest)| rest);
    }
    let rest = text.trim_start_matches(|each: char| each.is_ascii_alphabetic());
    (rest.len() < text.len()).then_some(rest)
}

/// `[+-]hh[:mm[:ss]]` in seconds, if there is one, and what comes after it.
fn offset(text: &str) -> Option<(Option<i64>, &str)> {
    let size = text.find(|each: char| !matches!(each, '0'..='9' | '+' | '-' | ':')).unwrap_or(text.len());
    let (written, rest) = text.split_at(size);
    if written.is_empty() {
        return Some((None, rest));
    }
    let (sign, digits) = match written.as_bytes()[0] {
        b'-' => (-1, &written[1..]),
        b'+' => (1, &written[1..]),
        _ => (1, written),
    };
    let mut total_s = 0;
    for (part, unit_s) in digits.split(':').zip([HOUR_S, 60, 1]) {
        total_s += part.parse::<i64>().ok().filter(|part| *part < 1000)? * unit_s;
    }
    Some((Some(sign * total_s), rest))
}
