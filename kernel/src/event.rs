//! An event as the log keeps it, read once: what the step asks of every event, and the fields that definitions mention
//! (`onefold.language.stream.excerpt`).

use crate::instants::parse_timestamp;
use crate::json::Json;
use crate::{Beyond, Here};

/// Where something stands in its record; empty where it is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    begin: u32,
    end: u32,
}

impl Span {
    /// What a reader has passed over since it was at `begin`.
    fn since(begin: usize, json: &Json<'_>) -> Here<Span> {
        let place = |at: usize| u32::try_from(at).map_err(|_| Beyond);
        Ok(Span { begin: place(begin)?, end: place(json.at())? })
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.begin == self.end
    }

    /// Its text in the record that it was found in.
    #[must_use]
    pub fn of(self, record: &str) -> &str {
        &record[self.begin as usize..self.end as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Track,
    Page,
    Screen,
    Group,
    Identify,
    Alias,
}

impl Kind {
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Kind::Track => "track",
            Kind::Page => "page",
            Kind::Screen => "screen",
            Kind::Group => "group",
            Kind::Identify => "identify",
            Kind::Alias => "alias",
        }
    }

    fn of(text: &str) -> Here<Kind> {
        Ok(match text {
            "track" => Kind::Track,
            "page" => Kind::Page,
            "screen" => Kind::Screen,
            "group" => Kind::Group,
            "identify" => Kind::Identify,
            "alias" => Kind::Alias,
            _ => return Err(Beyond),
        })
    }
}

/// The fields of events' objects that definitions mention, each list in its own order.
pub struct Mentioned {
    pub properties: Vec<Member>,
    pub context: Vec<Member>,
}

impl Mentioned {
    /// Where in `Event::fields` a member of this object stands, by its attribute.
    #[must_use]
    pub fn place(&self, holder: &str, attribute: &str) -> Option<usize> {
        let place_in = |members: &[Member]| members.iter().position(|each| each.attribute == attribute);
        match holder {
            "properties" => place_in(&self.properties),
            "context" => place_in(&self.context).map(|place| self.properties.len() + place),
            _ => None,
        }
    }
}

/// What an object's member is called, in events and as the attribute of Python's excerpts.
pub struct Member {
    pub name: String,
    pub attribute: String,
}

/// One event. Times are milliseconds since 1970 UTC.
#[derive(Debug)]
pub struct Event {
    pub whole: Span,
    pub kind: Kind,
    /// Of a track event, in quotes.
    pub name: Span,
    /// In quotes.
    pub message: Span,
    /// A number, or text in quotes.
    pub user: Span,
    /// As `user`.
    pub anonymous: Span,
    /// As `user`.
    pub group: Span,
    /// An object, or null.
    pub traits: Span,
    /// Anything; of the context.
    pub more_traits: Span,
    /// It says nothing of its person but the two ids.
    pub is_plain: bool,
    /// `originalTimestamp`, or else `timestamp`.
    pub original_ms: Option<i64>,
    pub sent_ms: Option<i64>,
    /// JSON of the mentioned properties, then of the mentioned parts of the context.
    pub fields: Box<[Span]>,
}

/// An entry of the log that carries events, and nothing that was rejected.
pub struct Entry {
    pub source: String,
    pub at_ms: i64,
    pub sent_at_ms: Option<i64>,
    pub events: Vec<Event>,
}

/// The entry in this text. `Beyond`: another kind of entry, or anything that is not as collect writes it.
pub fn read_entry(record: &str, mentioned: &Mentioned) -> Here<Entry> {
    let json = &mut Json::new(record);
    let mut entry = Entry { source: String::new(), at_ms: 0, sent_at_ms: None, events: Vec::new() };
    let mut seen = 0_u32;
    let mut key = json.object()?.map(Field::of);
    while let Some(field) = key {
        once(&mut seen, field)?;
        match field {
            Field::Kind if json.text()? == "received" => {}
            Field::Source => json.text()?.clone_into(&mut entry.source),
            Field::AtMs => entry.at_ms = json.int()?,
            Field::SentAtMs => entry.sent_at_ms = optional_int(json)?,
            Field::Events => read_events(json, mentioned, &mut entry.events)?,
            _ => return Err(Beyond),
        }
        key = json.next_key()?.map(Field::of);
    }
    json.finish()?;
    let needed = [Field::Kind, Field::Source, Field::AtMs, Field::Events];
    if needed.iter().all(|field| seen & bit(*field) != 0) { Ok(entry) } else { Err(Beyond) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Kind,
    Source,
    AtMs,
    SentAtMs,
    Events,
    Type,
    MessageId,
    UserId,
    AnonymousId,
    PreviousId,
    GroupId,
    Event,
    Timestamp,
    OriginalTimestamp,
    SentAt,
    Traits,
    Properties,
    Context,
    Other,
}

impl Field {
    fn of(key: &str) -> Field {
        match key {
            "kind" => Field::Kind,
            "source" => Field::Source,
            "at_ms" => Field::AtMs,
            "sent_at_ms" => Field::SentAtMs,
            "events" => Field::Events,
            "type" => Field::Type,
            "messageId" => Field::MessageId,
            "userId" => Field::UserId,
            "anonymousId" => Field::AnonymousId,
            "previousId" => Field::PreviousId,
            "groupId" => Field::GroupId,
            "event" => Field::Event,
            "timestamp" => Field::Timestamp,
            "originalTimestamp" => Field::OriginalTimestamp,
            "sentAt" => Field::SentAt,
            "traits" => Field::Traits,
            "properties" => Field::Properties,
            "context" => Field::Context,
            _ => Field::Other,
        }
    }
}

fn bit(field: Field) -> u32 {
    1 << field as u32
}

/// A field that comes twice is left to Python, whose decoder takes the last.
fn once(seen: &mut u32, field: Field) -> Here<()> {
    if field != Field::Other && *seen & bit(field) != 0 {
        return Err(Beyond);
    }
    *seen |= bit(field);
    Ok(())
}

fn read_events(json: &mut Json<'_>, mentioned: &Mentioned, events: &mut Vec<Event>) -> Here<()> {
    let mut more = json.list()?;
    while more {
        events.push(read_event(json, mentioned)?);
        more = json.next_item()?;
    }
    Ok(())
}

fn read_event(json: &mut Json<'_>, mentioned: &Mentioned) -> Here<Event> {
    json.peek()?;
    let begin = json.at();
    let mut event = Event {
        whole: Span::default(),
        kind: Kind::Track,
        name: Span::default(),
        message: Span::default(),
        user: Span::default(),
        anonymous: Span::default(),
        group: Span::default(),
        traits: Span::default(),
        more_traits: Span::default(),
        is_plain: true,
        original_ms: None,
        sent_ms: None,
        fields: vec![Span::default(); mentioned.properties.len() + mentioned.context.len()].into(),
    };
    let (mut seen, mut timestamp_ms, mut has_contacts) = (0, None, false);
    let (properties, context) = event.fields.split_at_mut(mentioned.properties.len());
    let mut key = json.object()?.map(Field::of);
    while let Some(field) = key {
        once(&mut seen, field)?;
        match field {
            Field::Type => event.kind = Kind::of(json.text()?)?,
            Field::MessageId => event.message = text(json)?,
            Field::UserId => event.user = id(json)?,
            Field::AnonymousId => event.anonymous = id(json)?,
            Field::PreviousId => drop(id(json)?),
            Field::GroupId => event.group = id(json)?,
            Field::Event => event.name = text(json)?,
            Field::Timestamp => timestamp_ms = optional_timestamp(json)?,
            Field::OriginalTimestamp => event.original_ms = optional_timestamp(json)?,
            Field::SentAt => event.sent_ms = optional_timestamp(json)?,
            Field::Traits => event.traits = read_traits(json, &mut has_contacts)?,
            Field::Properties => read_object(json, &mentioned.properties, properties, |_, _| {})?,
            Field::Context => read_object(json, &mentioned.context, context, |name, span| {
                event.is_plain &= !matches!(name, "traits" | "device" | "externalIds");
                if name == "traits" {
                    event.more_traits = span;
                }
            })?,
            _ => json.skip()?,
        }
        key = json.next_key()?.map(Field::of);
    }
    if seen & bit(Field::Type) == 0 {
        return Err(Beyond);
    }
    event.whole = Span::since(begin, json)?;
    event.original_ms = event.original_ms.or(timestamp_ms);
    event.is_plain &= event.kind != Kind::Alias && !(has_contacts && event.kind == Kind::Identify);
    Ok(event)
}

/// Where traits stand, which are an object or null; and whether some of them may say more of the person.
fn read_traits(json: &mut Json<'_>, has_contacts: &mut bool) -> Here<Span> {
    let is_object = match json.peek()? {
        b'n' => false,
        b'{' => true,
        _ => return Err(Beyond),
    };
    let begin = json.at();
    if is_object {
        json.skip_members(|name| *has_contacts |= matches!(name, "email" | "phone") || name.contains('\\'))?;
    } else {
        json.skip()?;
    }
    Span::since(begin, json)
}

/// Where the mentioned members of an object stand. `note` is told of every member, and where it stands.
fn read_object(
    json: &mut Json<'_>,
    mentioned: &[Member],
    found: &mut [Span],
    mut note: impl FnMut(&str, Span),
) -> Here<()> {
    if json.null()? {
        return Ok(());
    }
    let mut key = json.object()?;
    while let Some(name) = key {
        let span = passed(json)?;
        note(name, span);
        match mentioned.iter().position(|each| each.name == name) {
            Some(place) if found[place].is_empty() => found[place] = span,
            Some(_) => return Err(Beyond),
            None => {}
        }
        key = json.next_key()?;
    }
    Ok(())
}

/// Where a value stands.
fn passed(json: &mut Json<'_>) -> Here<Span> {
    json.peek()?;
    let begin = json.at();
    json.skip()?;
    Span::since(begin, json)
}

/// Where text without escapes stands, with its quotes; nowhere, for null.
fn text(json: &mut Json<'_>) -> Here<Span> {
    if json.null()? {
        return Ok(Span::default());
    }
    json.peek()?;
    let begin = json.at();
    json.text()?;
    Span::since(begin, json)
}

/// Where text or an integer stands.
fn id(json: &mut Json<'_>) -> Here<Span> {
    if matches!(json.peek()?, b'n' | b'"') {
        return text(json);
    }
    let begin = json.at();
    json.int()?;
    Span::since(begin, json)
}

fn optional_int(json: &mut Json<'_>) -> Here<Option<i64>> {
    if json.null()? { Ok(None) } else { json.int().map(Some) }
}

fn optional_timestamp(json: &mut Json<'_>) -> Here<Option<i64>> {
    if json.null()? { Ok(None) } else { parse_timestamp(json.text()?).map(Some).ok_or(Beyond) }
}
