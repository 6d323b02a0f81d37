"""Every bound in Onefold, with its unit and its reason. What users may move is a setting whose default is here."""

KIB = 1024
MIB = 1024 * KIB
SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

NEVER_MS = 1 << 53
"""An instant that never comes; the largest that JavaScript and JSON readers keep exact."""

# --- collect: the Segment spec's limits -------------------------------------------------------------------
EVENT_MAX_BYTES = 32 * KIB
BATCH_MAX_BYTES = 500 * KIB
BATCH_MAX_EVENTS = 2_500
IMPORT_MAX_BYTES = 4 * MIB
"""`/v1/import` and RudderStack's larger default."""
INFLATE_MAX_RATIO = 100
"""A gzip body that grows more than this is a bomb, not an event."""
JSON_MAX_DEPTH = 64
"""Deeper than any SDK nests; shallow enough that no reader of ours or of a destination recurses out."""
MESSAGE_ID_MAX_CHARS = 256
EVENT_NAME_MAX_CHARS = 512
IDENTIFIER_MAX_BYTES = 400
"""An identifier is an LMDB key (at most 511 bytes) with its namespace."""
QUARANTINED_BODY_MAX_BYTES = MIB
"""A refused event is kept up to here; one that is larger could not be mended into an event anyway."""
BODY_TIMEOUT_S = 20.0
"""A request's body is whole by then, or is refused: a connection that dribbles takes the place of another."""
COLLECT_QUEUE_MAX_BYTES = 64 * MIB
"""Records that wait for the next group commit; past it collect answers 503, so that memory stays bounded."""

# --- log ---------------------------------------------------------------------------------------------------
PARTITIONS_MAX = 256
"""A partition number is the first byte of every profile id."""
RECORD_EVENTS_MAX = 1 << 16
"""An event's index in its record is the low 16 bits of its position."""
RECORD_OFFSET_MAX = 1 << 39
"""Positions then have 55 bits: the bit above them tells the ids of accounts from those of people."""
RECORD_MAX_BYTES = 8 * MIB - 64 * KIB
"""With what Kafka puts around it 8 MiB, which is the most that some services of the Kafka protocol take."""
RECORD_SPLIT_BYTES = 2 * MIB
"""Collect begins a new record here; with its last event, escaped, a record stays well below RECORD_MAX_BYTES."""
DISK_RESERVE_BYTES = 256 * MIB
"""Below this much free disk collect answers 503: compaction, deletion and erasure need room to work."""

# --- step --------------------------------------------------------------------------------------------------
STEP_MAX_EVENTS = 32_768
"""What one commit folds at the most when there is a backlog: the more, the oftener people are in it twice."""
TICK_MAX_TIMERS = 1_000
"""Timers that one tick entry fires; the rest wait for the next tick, so that a step stays bounded."""
SWEEP_MAX_PROFILES = 1_000
"""Profiles that one sweep entry judges again after a change of definitions."""
DEDUPE_WINDOW_MS = DAY_MS
DEDUPE_WINDOW_MAX_MS = 30 * DAY_MS
"""Messages are let go of day by day, and a state holds those of 32 days."""
FUTURE_MAX_MS = 0
"""An event's time is never after its arrival (DESIGN §5): later ones are clamped to `received_at`."""
RECENT_EVENTS_MAX = 20
"""Positions of the latest events that a profile keeps for its API."""
PROFILE_IDENTIFIERS_MAX = 1_000
PROFILE_TRAITS_MAX = 1_000
LINKS_MAX = 4_000
SEEN_MAX = 200
"""Identifiers that a profile remembers to have seen without having them: shared devices, mailboxes of a team."""
HOT_OTHERS = 250
"""Others with which a value may come before it is hot: more than a person has of devices and browsers."""
IDENTIFIER_TYPES_MAX = 50
IDENTITY_BLOCKED_MAX = 10_000
"""Values and patterns that a workspace blocks; they are in every entry that puts definitions into force."""
IDENTITY_PATTERNS_MAX = 50
"""Patterns of one type, and for all types: each is tried with every value that is new."""
IDENTITY_FIELDS_MAX = 10
"""Fields from which one type of identifier is read."""
TRAIT_RULES_MAX = 200
TRAIT_PARTS_MAX = 200
"""Whose word is kept of one trait; of more those who spoke last. A part may be as large as an event."""
NEVER_MAX = 1_000
"""Identifiers of which somebody has said that they are never this person's."""
WORDS_MAX = 200
"""Of what people have said of somebody's identifiers, the latest: who said it, when, and where in the log."""

# --- aggregates --------------------------------------------------------------------------------------------
WINDOW_PANES_MAX = 1_024
"""Distinct instants that a window keeps to the millisecond; beyond, its resolution halves until they fit."""
UNIQUE_VALUES_MAX = 1_000
"""Distinct values that `unique`, `most_frequent` and `top` keep exactly."""
PERCENTILE_VALUES_MAX = 1_000
"""Distinct numbers that `percentile` keeps exactly, and buckets that it keeps beyond."""
ACTIVE_PERIODS_MAX = 3_660
"""Days (weeks, months) that `days_active` and streaks know of, up to the latest active one: 458 bytes."""
SESSIONS_MAX = 200
"""Sessions that later events can still join; older ones are counted, and stay as they are."""
TIME_SINCE_UNIT_MIN_MS = HOUR_MS
"""The value of `time_since` changes with each unit that passes, and wakes the profile then."""
SEQUENCE_STEPS_MAX = 8
"""Steps of one sequence, negated ones included: each is a bit of every event that it keeps."""
SEQUENCE_EVENTS_MAX = 256
"""Latest events that a sequence keeps of a person; what was completed before them stays counted."""

# --- language ----------------------------------------------------------------------------------------------
EXPRESSION_MAX_CHARS = 4_000
EXPRESSION_MAX_NODES = 500
EXPRESSION_MAX_DEPTH = 32
WINDOW_MAX_MS = 10 * 366 * DAY_MS
TEXT_MAX_CHARS = EVENT_MAX_BYTES
"""The longest string that a function makes; no string of an event is longer."""
DEFINITIONS_MAX = 20_000
DEFINITION_INPUTS_MAX = 256
"""Different aggregates and traits that the value of one definition depends on, those that it names included: so that
definitions which build on each other stay linear in their number."""
HANDLERS_MAX_PARTS = 20_000
"""Slots and definitions that are written out in the functions of all event names; the rest share functions, which cost
an event more, but all definitions are compiled in seconds."""
DEFINITIONS_MAX_BYTES = 4 * MIB
"""All definitions as JSON: they are one record of the log."""
DEFINITION_NAME_MAX_CHARS = 100
"""A name is part of a database key of at most 511 bytes."""
EXPRESSION_PROBLEMS_MAX = 50
"""Mistakes that are told of one expression."""
DEFINITIONS_PROBLEMS_MAX = 1_000
"""Mistakes that one reading of a workspace tells; each is shown with the line that it stands in."""
LINE_SHOWN_MAX_CHARS = 64 * KIB
"""Of a longer line of a file just the place is told."""
DEFINITIONS_BODY_MAX_BYTES = DEFINITIONS_MAX_BYTES + MIB
"""Of a request that brings them: with spaces, and what JSON escapes."""
AUTHOR_MAX_CHARS = 100
WORKSPACE_FILE_MAX_BYTES = 4 * MIB

# --- backfill ----------------------------------------------------------------------------------------------
BACKFILL_MAX_PROFILES = 1_000
"""Profiles that one entry brings what history holds of them."""
BACKFILL_MAX_BYTES = MIB
"""What one entry brings; with its last profile it stays well below RECORD_MAX_BYTES."""
BACKFILL_MAX_ACCOUNTS = 10_000
"""Accounts of one person to which a backfill adds; who names more is no member of a company."""
BACKFILL_AHEAD = 2
"""Such entries that wait to be folded in one partition: live events never wait behind more."""

# --- recasts: people taken apart or put together -----------------------------------------------------------
RECAST_MAX_PROFILES = 1_000
"""People whom one recast folds again."""
RECAST_MAX_EVENTS = 100_000
"""Events of one person that a recast folds; it takes about as many times 20 µs."""
RECAST_MAX_BYTES = 4 * MIB
"""What one entry brings; as JSON it stays below RECORD_MAX_BYTES."""
PARTED_MAX = 1_000
"""Pairs of identifiers that one unmerge takes apart."""

# --- people of the past under other rules -------------------------------------------------------------------
RERESOLVE_ROUNDS_MAX = 10
"""Times that a re-resolve goes through the past, while others change people; mostly two are enough."""
RERESOLVE_MAX_GROUPS = 200
"""Groups of people that one entry brings, none of whom may have changed meanwhile."""
RERESOLVE_MAX_BYTES = MIB
"""What comes by such an entry, but for the last group."""
RERESOLVE_MAX_EVENTS = 50_000
"""Events that are folded for it, but for the last group."""
REFUSALS_KEPT_MAX = 10_000
"""Refused links that trying other rules remembers one by one; the others are counted."""
WHAT_IF_SAMPLES_MAX = 100
"""People whom it shows of each kind of change."""
WHAT_IF_API_S = 600.0
"""For so long it may take over the API; the command has no bound but Ctrl-C."""
WHAT_IF_IDENTIFIERS_SHOWN = 10
"""Identifiers that it shows of each of them."""
SUSPECT_DEVICES = 50
"""Devices and browsers of one profile beyond which it is probably several people."""
SUSPECT_CONTACTS = 10
"""E-mails and phones of one profile beyond which it is probably several people."""

# --- explanations ------------------------------------------------------------------------------------------
TURNS_MAX = 4_096
"""Instants at which something may change by itself that one explanation looks at, to say when it does."""
GROUNDS_SHOWN = 20
"""Deciding events that an explanation shows of each part; the others come in pages."""
HISTORY_LAG_MAX_BYTES = 8 * MIB
"""Effects that one explanation looks through for events which history does not have yet."""

# --- identity, explained ------------------------------------------------------------------------------------
HINDRANCES_SHOWN = 50
"""Things that keep two people apart, of one answer; the rest is counted."""
GRAPH_NODES_MAX = 30
"""Identifiers that a picture of somebody's identity shows one by one; the rest is counted, type by type."""
GRAPH_REFUSED_MAX = 20
"""Links that were refused, and words, of such a picture."""
HISTORY_SHOWN = 1_000
"""Turns of somebody's history that one answer shows, the latest."""
MEETINGS_MAX = 200
"""Pairs of two people's identifiers of whose coming together the rules are asked; of more, the commonest."""
SIGHTINGS_CONDENSED_FROM = 2_000
"""Events of one person from which on those that name the same are counted, and not read one by one."""
EFFECT_PROBES_MAX = 1_000
"""Commits that are looked at to find the effects of one place in the log."""

# --- delivery ----------------------------------------------------------------------------------------------
DELIVERY_TIMEOUT_S = 15.0
SIGNING_OLD_VALID_S = 24 * 3_600
"""For how long webhooks are signed with a former secret too, beside the new one."""
SIGNING_OLD_VALID_MAX_S = 30 * 24 * 3_600
SIGNING_SECRETS_MAX = 4
"""Secrets of one destination in force at once: each is a signature in every request's head."""
DELIVERY_RETRY_SCHEDULE_S = (1, 5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 86_400)
"""Waits before each further try, before jitter; the last failure parks the delivery."""
DELIVERY_PENDING_S = 7 * 24 * 3_600
"""A delivery that has waited for longer is given up, so that a dead destination holds neither effects nor log."""
DELIVERY_PARKED_S = 30 * 24 * 3_600
"""A parked delivery is forgotten after this: somebody has had time to look."""
DELIVERY_CONCURRENCY = 16
DELIVERY_RESPONSE_MAX_BYTES = 64 * KIB
DELIVERY_LANES_MAX = 10_000
"""Deliveries of one destination that wait in memory or for a retry before it stops taking new effects."""
DELIVERY_LANES_MAX_BYTES = 64 * MIB
"""Payloads of one destination that wait in memory before it stops taking new effects."""
DELIVERY_RETRY_AFTER_MAX_S = 3_600
"""A destination may ask for a longer wait, but not keep us from trying again for a day."""
DELIVERY_DRAIN_S = 1.0
"""For how long an answer's body is read, only to use the connection again; its status has been seen by then."""
BOOK_RENEW_S = 1.0
"""How often the process that keeps the book of deliveries says that it is still there."""
BOOK_LEASE_S = 5.0
"""After so long without that, another process takes the book over: a few renewals may be late or lost."""
BREAKER_FAILURES = 10
BREAKER_PROBE_S = 5.0

# --- preview -----------------------------------------------------------------------------------------------
PREVIEW_AUDIENCES_MAX = 50
"""Audiences that one preview counts; of more that change, the first by name."""
PREVIEW_OVERLAPS_MAX = 200
"""Other audiences that it compares them with."""
PREVIEW_DAYS_MAX = 90
PREVIEW_SAMPLES_MAX = 100
PREVIEW_CELLS_MAX = 100_000_000
"""Events times aggregates that are computed at once; of more, some people come after others."""
SQL_REMEMBERED_MAX = 65_536
"""Answers of one Python function that SQL over history calls which it remembers: most values come again."""
PREVIEW_LOOKS_MAX = 20_000_000
"""Times that an event is looked at for an aggregate of a day behind; beyond, a share of the people is counted."""

# --- connections -------------------------------------------------------------------------------------------
CONNECTIONS_MAX = 8_192
"""Connections that one HTTP process holds at once, if it may open so many files."""
HEADER_TIMEOUT_MS = 20 * SECOND_MS
"""A request's head is whole by then; also how long a connection may rest between requests."""

# --- api ---------------------------------------------------------------------------------------------------
PAGE_DEFAULT = 100
PAGE_MAX = 1_000
API_BODY_MAX_BYTES = 64 * KIB
"""Names, scopes, filters: nothing that the API takes is larger."""
BATCH_READ_MAX = 1_000
"""Profiles that one request reads."""
BATCH_READ_MAX_BYTES = BATCH_READ_MAX * (IDENTIFIER_MAX_BYTES + 100)
"""Of such a request: each may be named by the longest identifier there is, with what JSON puts around it."""
EXPORTS_MAX = 4
"""Exports of audiences that one process runs at once: each reads and decodes as fast as it is taken."""
AS_OF_MAX = 2
"""Questions of who was in an audience that one process answers at once: each reads all moves of that audience."""
PROJECTION_MAX = 200
"""Names in one `include`."""
RECEIPT_WAIT_S = 5.0
"""A reader waits for what its receipt names so long at the most: workers that keep up need milliseconds."""
RECEIPT_WAITERS_MAX = 1_000
"""Readers of one process that wait for what their receipts name."""
TAIL_QUEUE_MAX = 1_000
"""Effects that wait for one slow reader of the live tail; beyond, the oldest are dropped and the reader is told."""
TAIL_SUBSCRIBERS_MAX = 64
TAIL_SEND_TIMEOUT_S = 30.0
"""A reader of the live tail that takes nothing for so long is gone, and its place is another's."""

assert EVENT_MAX_BYTES <= BATCH_MAX_BYTES <= IMPORT_MAX_BYTES < RECORD_MAX_BYTES
assert DEFINITIONS_MAX_BYTES < RECORD_MAX_BYTES
assert BATCH_MAX_EVENTS < RECORD_EVENTS_MAX
assert IDENTIFIER_MAX_BYTES < 511
assert RECAST_MAX_BYTES * 3 // 2 + MIB < RECORD_MAX_BYTES
assert 2 * BACKFILL_MAX_ACCOUNTS < RECORD_EVENTS_MAX
assert sum(DELIVERY_RETRY_SCHEDULE_S) < DELIVERY_PENDING_S < DELIVERY_PARKED_S
assert 3 * BOOK_RENEW_S < BOOK_LEASE_S
assert STEP_MAX_EVENTS >= BATCH_MAX_EVENTS
