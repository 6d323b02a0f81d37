//! The escapes in JSON's texts.

use crate::{Beyond, Here};

const UNIT_DIGITS: usize = 4;

/// What a text stands for that was written with escapes. `Beyond`: it is none, as with half of a surrogate pair.
pub fn unescaped(raw: &str) -> Here<String> {
    let mut found = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        found.push_str(plain);
        let (stands_for, behind) = first_of(escape)?;
        found.push(stands_for);
        rest = behind;
    }
    found.push_str(rest);
    Ok(found)
}

/// The character of the escape that begins here, behind its backslash, and what follows it.
fn first_of(escape: &str) -> Here<(char, &str)> {
    let (kind, behind) = escape.split_at_checked(1).ok_or(Beyond)?;
    Ok(match kind {
        "\"" => ('"', behind),
        "\\" => ('\\', behind),
        "/" => ('/', behind),
        "b" => ('\u{8}', behind),
        "f" => ('\u{c}', behind),
        "n" => ('\n', behind),
        "r" => ('\r', behind),
        "t" => ('\t', behind),
        "u" => character(behind)?,
        _ => return Err(Beyond),
    })
}

/// A character of one unit of UTF-16, or of two.
fn character(digits: &str) -> Here<(char, &str)> {
    let (first, behind) = unit(digits)?;
    if let Ok(found) = single(&[first]) {
        return Ok((found, behind));
    }
    let (second, behind) = unit(behind.strip_prefix("\\u").ok_or(Beyond)?)?;
    Ok((single(&[first, second])?, behind))
}

fn unit(digits: &str) -> Here<(u16, &str)> {
    let (digits, behind) = digits.split_at_checked(UNIT_DIGITS).ok_or(Beyond)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let unit = u16::from_str_radix(digits, 16).ok().filter(|_| is_hex);
    Ok((unit.ok_or(Beyond)?, behind))
}

/// The one character that these units are.
fn single(units: &[u16]) -> Here<char> {
    let mut characters = char::decode_utf16(units.iter().copied());
    match (characters.next(), characters.next()) {
        (Some(Ok(found)), None) => Ok(found),
        _ => Err(Beyond),
    }
}
