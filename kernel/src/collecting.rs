//! Events as they are sent, judged without being decoded (`onefold.collect.check`: `Plain` and `fault`).
//!
//! What is taken here passes there, too. All else is for Python: what does not pass, and what it might read otherwise.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::instants::parse_timestamp;
use crate::json::Json;
use crate::{Beyond, Here};

/// How deep the values of an event's objects are nested, and those of its metadata.
const NESTED_MAX: u32 = 4;
const METADATA_NESTED_MAX: u32 = 2;
/// So many digits are a number of 64 bits.
const INT_MAX_BYTES: usize = 18;
/// So long, and with an exponent of two digits, a float is finite.
const FLOAT_MAX_BYTES: usize = 32;

/// A judge of events under the limits of one log.
#[pyclass(module = "onefold_kernel", frozen)]
pub struct Judge {
    partitions: u64,
    event_max_bytes: usize,
    message_id_max_bytes: usize,
    event_name_max_bytes: usize,
}

/// How many events, and the lanes that they go to if they cannot stay together: by partition, with commas between.
type Judged<'py> = (usize, Option<Vec<Bound<'py, PyBytes>>>);

#[pymethods]
impl Judge {
    #[new]
    fn new(partitions: u64, event_max_bytes: usize, message_id_max_bytes: usize, event_name_max_bytes: usize) -> Judge {
        Judge { partitions, event_max_bytes, message_id_max_bytes, event_name_max_bytes }
    }

    /// The events between two places of a body, as between the brackets of a list. None: they are for Python.
    fn events<'py>(&self, body: &Bound<'py, PyBytes>, begin: usize, end: usize) -> Option<Judged<'py>> {
        let part = body.as_bytes().get(begin..end)?;
        let (count, lanes) = self.judge(std::str::from_utf8(part).ok()?).ok()?;
        let lanes = lanes.map(|lanes| lanes.iter().map(|lane| PyBytes::new(body.py(), lane)).collect());
        Some((count, lanes))
    }

    /// The partition that a body belongs to which is nothing but one event of this kind. None: it is for Python.
    fn event(&self, body: &Bound<'_, PyBytes>, kind: &str) -> Option<u64> {
        let text = std::str::from_utf8(body.as_bytes()).ok()?;
        let event = self.sent(&mut Json::new(text)).ok()?;
        let is_all = (event.begin, event.end) == (0, text.len()) && text.len() <= self.event_max_bytes;
        if is_all && event.kind == kind { self.lane(event.primary).ok() } else { None }
    }
}

impl Judge {
    fn judge(&self, part: &str) -> Here<(usize, Option<Vec<Vec<u8>>>)> {
        let json = &mut Json::new(part);
        let (mut events, mut is_plain) = (Vec::new(), true);
        while !events.is_empty() || json.finish().is_err() {
            let event = self.sent(json)?;
            is_plain &= event.is_plain;
            events.push(event);
            if json.finish().is_ok() {
                break;
            }
            json.expect(b',')?;
        }
        let is_whole = is_plain && self.partitions == 1 && part.len() <= self.event_max_bytes;
        Ok((events.len(), if is_whole { None } else { Some(self.lanes(part.as_bytes(), &events)?) }))
    }

    fn lanes(&self, part: &[u8], events: &[Sent<'_>]) -> Here<Vec<Vec<u8>>> {
        let mut lanes = vec![Vec::new(); usize::try_from(self.partitions).map_err(|_| Beyond)?];
        for event in events {
            if event.end - event.begin > self.event_max_bytes {
                return Err(Beyond);
            }
            let lane = &mut lanes[usize::try_from(self.lane(event.primary)?).map_err(|_| Beyond)?];
            if !lane.is_empty() {
                lane.push(b',');
            }
            lane.extend(&part[event.begin..event.end]);
        }
        Ok(lanes)
    }

    fn lane(&self, primary: Id<'_>) -> Here<u64> {
        if self.partitions == 1 { Ok(0) } else { Ok(primary.hash()? % self.partitions) }
    }

    fn sent<'a>(&self, json: &mut Json<'a>) -> Here<Sent<'a>> {
        json.peek()?;
        let (begin, mut said) = (json.at(), Said::default());
        let mut key = json.object()?;
        while let Some(name) = key {
            self.member(json, name, &mut said)?;
            key = json.next_key()?;
        }
        let (primary, is_plain) = said.judged()?;
        Ok(Sent { begin, end: json.at(), kind: said.kind, primary, is_plain })
    }

    fn member<'a>(&self, json: &mut Json<'a>, name: &str, said: &mut Said<'a>) -> Here<()> {
        let field = Field::of(name)?;
        said.once(field)?;
        match field {
            Field::Type => said.kind = json.text()?,
            Field::MessageId => drop(short(json, self.message_id_max_bytes)?),
            Field::Event => said.is_named = !short(json, self.event_name_max_bytes)?.is_empty(),
            Field::UserId => said.user = id(json)?,
            Field::AnonymousId => said.anonymous = id(json)?,
            Field::PreviousId => said.previous = id(json)?,
            Field::GroupId => said.group = id(json)?,
            Field::Name | Field::Category => drop(short(json, usize::MAX)?),
            Field::Timestamp | Field::OriginalTimestamp | Field::SentAt => timestamp(json)?,
            Field::Integrations if matches!(json.peek()?, b't' | b'f') => nested(json, 0)?,
            Field::Properties | Field::Traits | Field::Context | Field::Integrations => object(json)?,
            Field::Channel | Field::Version | Field::ReceivedAt | Field::RudderId => nested(json, 0)?,
            Field::Metadata => nested(json, METADATA_NESTED_MAX)?,
        }
        Ok(())
    }
}

/// An event that passes.
struct Sent<'a> {
    begin: usize,
    end: usize,
    kind: &'a str,
    primary: Id<'a>,
    /// Its kind asks for nothing else than a name.
    is_plain: bool,
}

/// An identifier that names somebody, or none.
#[derive(Clone, Copy, Default)]
enum Id<'a> {
    #[default]
    Missing,
    /// As it is written.
    Text(&'a str),
    Int(i64),
}

impl Id<'_> {
    fn is_usable(self) -> bool {
        !matches!(self, Id::Missing)
    }

    /// What its partition is found by (`onefold.collect.routing`).
    fn hash(self) -> Here<u64> {
        match self {
            Id::Text(text) if !text.contains('\\') => Ok(xxh3_64(text.as_bytes())),
            Id::Int(number) => Ok(xxh3_64(number.to_string().as_bytes())),
            _ => Err(Beyond),
        }
    }
}

/// What an event has said so far.
#[derive(Default)]
struct Said<'a> {
    seen: u32,
    kind: &'a str,
    is_named: bool,
    user: Id<'a>,
    anonymous: Id<'a>,
    previous: Id<'a>,
    group: Id<'a>,
}

impl<'a> Said<'a> {
    /// Of a field that comes twice a decoder takes the last.
    fn once(&mut self, field: Field) -> Here<()> {
        let bit = 1 << field as u32;
        if self.seen & bit != 0 {
            return Err(Beyond);
        }
        self.seen |= bit;
        Ok(())
    }

    /// Its primary identifier, if it has all that its kind asks for; and whether that is plain.
    fn judged(&self) -> Here<(Id<'a>, bool)> {
        let primary = if self.user.is_usable() { self.user } else { self.anonymous };
        let (is_complete, is_plain) = match self.kind {
            "track" => (self.is_named, true),
            "identify" | "page" | "screen" => (true, true),
            "group" => (self.group.is_usable(), false),
            "alias" => (self.previous.is_usable() && self.user.is_usable(), false),
            _ => (false, false),
        };
        if is_complete && primary.is_usable() { Ok((primary, is_plain)) } else { Err(Beyond) }
    }
}

#[derive(Clone, Copy)]
enum Field {
    Type,
    MessageId,
    UserId,
    AnonymousId,
    PreviousId,
    GroupId,
    Event,
    Name,
    Category,
    Timestamp,
    OriginalTimestamp,
    SentAt,
    Properties,
    Traits,
    Context,
    Integrations,
    Channel,
    Version,
    ReceivedAt,
    RudderId,
    Metadata,
}

impl Field {
    fn of(name: &str) -> Here<Field> {
        Ok(match name {
            "type" => Field::Type,
            "messageId" => Field::MessageId,
            "userId" => Field::UserId,
            "anonymousId" => Field::AnonymousId,
            "previousId" => Field::PreviousId,
            "groupId" => Field::GroupId,
            "event" => Field::Event,
            "name" => Field::Name,
            "category" => Field::Category,
            "timestamp" => Field::Timestamp,
            "originalTimestamp" => Field::OriginalTimestamp,
            "sentAt" => Field::SentAt,
            "properties" => Field::Properties,
            "traits" => Field::Traits,
            "context" => Field::Context,
            "integrations" => Field::Integrations,
            "channel" => Field::Channel,
            "version" => Field::Version,
            "receivedAt" => Field::ReceivedAt,
            "rudderId" => Field::RudderId,
            "_metadata" => Field::Metadata,
            _ => return Err(Beyond),
        })
    }
}

/// Text that has no more characters than this surely, as it is written; empty for null.
fn short<'a>(json: &mut Json<'a>, max_bytes: usize) -> Here<&'a str> {
    if json.null()? {
        return Ok("");
    }
    let text = json.raw_text()?;
    if text.len() <= max_bytes { Ok(text) } else { Err(Beyond) }
}

/// Text or an integer, but not 0, which Python's `or` passes over.
fn id<'a>(json: &mut Json<'a>) -> Here<Id<'a>> {
    if matches!(json.peek()?, b'n' | b'"') {
        let text = short(json, usize::MAX)?;
        return Ok(if text.is_empty() { Id::Missing } else { Id::Text(text) });
    }
    match json.int()? {
        0 => Err(Beyond),
        number => Ok(Id::Int(number)),
    }
}

fn timestamp(json: &mut Json<'_>) -> Here<()> {
    if json.null()? { Ok(()) } else { parse_timestamp(json.text()?).map(drop).ok_or(Beyond) }
}

fn object(json: &mut Json<'_>) -> Here<()> {
    match json.peek()? {
        b'n' | b'{' => nested(json, NESTED_MAX + 1),
        _ => Err(Beyond),
    }
}

/// Passes over a value that has so many levels of lists and objects, or fewer.
fn nested(json: &mut Json<'_>, levels: u32) -> Here<()> {
    match json.peek()? {
        b'"' => drop(json.raw_text()?),
        b'n' => json.word(b"null")?,
        b't' => json.word(b"true")?,
        b'f' => json.word(b"false")?,
        b'[' if levels > 0 => {
            let mut more = json.list()?;
            while more {
                nested(json, levels - 1)?;
                more = json.next_item()?;
            }
        }
        b'{' if levels > 0 => {
            json.expect(b'{')?;
            let mut more = !json.has(b'}')?;
            while more {
                json.raw_text()?;
                json.expect(b':')?;
                nested(json, levels - 1)?;
                more = json.has(b',')?;
                if !more {
                    json.expect(b'}')?;
                }
            }
        }
        b'-' | b'0'..=b'9' => number(json)?,
        _ => return Err(Beyond),
    }
    Ok(())
}

fn number(json: &mut Json<'_>) -> Here<()> {
    let (text, is_int) = json.number()?;
    let exponent = text.find(['e', 'E']).map_or("", |at| text[at + 1..].trim_start_matches(['+', '-']));
    let is_finite = text.len() <= if is_int { INT_MAX_BYTES } else { FLOAT_MAX_BYTES } && exponent.len() <= 2;
    if is_finite { Ok(()) } else { Err(Beyond) }
}
