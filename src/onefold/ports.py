"""The seams: what the platform needs of a log, a state, a book of deliveries, a history, a catalog and a destination.

Two engines stand behind each of the first five. All stand in this one file, so that who writes an engine, or looks for
a seam, need not ask where it is.

Every hot call takes and gives a batch. All methods may raise `StorageError` and its kin (`errors.py`).
"""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from onefold.model.catalog import SecretKeyRow, SourceRow, VersionRow
from onefold.model.changes import Changed, Changes, Cursor
from onefold.model.definitions import Definitions
from onefold.model.delivery import Delivery, Kept, Progress, Request, Standing
from onefold.model.effect import AnyEffect
from onefold.model.past import EVERYTHING, Extent, Names, Past, PastMerge, PastMove, PastRecast
from onefold.model.proposal import Judgement, KeptProposal, Proposal, Tie
from onefold.model.quarantined import Quarantined
from onefold.model.rules import Rules
from onefold.model.signing import SigningSecret


class Record(NamedTuple):
    """One entry of the log as bytes (`model.entry`), at its offset."""

    offset: int
    data: bytes


class Retention(NamedTuple):
    """When the head of a partition may go; None sets no limit."""

    age_ms: int | None = None
    size_bytes: int | None = None


class LogWriter(Protocol):
    """Appends to every partition. Any number of writers, in any process, may append side by side."""

    partitions: int

    def append(self, batches: Mapping[int, Sequence[bytes]]) -> dict[int, int]:
        """Append records to partitions, durably: on return they are fsynced and keep their order.

        One call is one group commit. Returns, for each partition, the offset of its last new record: the others of
        this call are before it, adjacent where they are one batch to the engine.
        Partitions are committed one after the other: after an exception some may have been written.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class TrimmingWriter(LogWriter, Protocol):
    """A writer that also forgets what nobody needs."""

    def trim(self, partition: int, before: int, retention: Retention) -> int:
        """Remove records from the head of a partition: of those below `before` what `retention` lets go.

        Returns how many are gone; less may go than could, as an engine removes what it wrote together.
        """
        ...


class LogReader(Protocol):
    """Reads partitions from a position. Never blocks a writer, and is never blocked by one."""

    partitions: int

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """Records from `offset` on, in order: at least one where there is any, then while they fit `max_bytes`.

        Of partitions that are watched it may be fewer, where the rest has yet to come from another machine. Empty at
        the end of the log, and only there. Raises `NotFoundError` where retention has removed `offset`, `Damaged`
        where a stored checksum does not match.
        """
        ...

    def has_come(self, partition: int, offset: int) -> bool:
        """Whether it is worth while to `read` from this offset. Costs little: nothing is read, nobody asked elsewhere.

        False only where nothing is there, or where it has yet to come from another machine and watches will tell of it.
        So it says no more than that there was nothing to do so far: whether a log ends there, `read` says.
        """
        ...

    def ends(self, partition: int) -> tuple[int, int]:
        """Offsets of the first record kept and of the next record to come."""
        ...

    def watch(self, partitions: Iterable[int]) -> int | None:
        """A file descriptor that can be read from once one of these has new records; None: look now and then.

        It says too much rather than too little, and nothing before it is so. Who has it empties it before looking, and
        closes it.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Assignment(Protocol):
    """Which partitions are a worker's to fold."""

    def partitions(self) -> frozenset[int]:
        """Those that are now; they may change at any time. Costs nothing."""
        ...

    def hold(self, partitions: frozenset[int]) -> None:
        """Say that of these alone anything is under way from now on: any other may be given to another worker."""
        ...

    def close(self) -> None:
        """Give them up."""
        ...


class Loaded(NamedTuple):
    """What `State.load` found; `snapshot` is handed back to `commit`, which checks that it still holds."""

    snapshot: int
    identifiers: dict[str, int]
    profiles: dict[int, bytes]
    seen: dict[bytes, int]


class Commit(NamedTuple):
    """The effects of one commit, as bytes that `model.effect` reads."""

    number: int
    partition: int
    effects: bytes


def at_once() -> None:
    """Nobody waits until a commit needs no more computing."""


class State(Protocol):
    """Profiles, identifiers, timers, memberships, effects and cursors. One writer commits at a time."""

    local: bool
    """Reading takes microseconds and waits for no other machine: an event loop may do it by itself."""

    def cursor(self, partition: int) -> Cursor:
        """How far this partition has been folded."""
        ...

    def rules(self, fingerprint: int) -> Rules:
        """The rules of this fingerprint, which a cursor has named; `model.rules.DEFAULT`: the defaults."""
        ...

    def load(
        self,
        identifiers: Iterable[str],
        profiles: Iterable[int],
        messages: Iterable[bytes],
        known: Container[int] = (),
    ) -> Loaded:
        """One consistent picture of these identifiers, of their profiles and of `profiles`, and of these messages.

        Identifiers, profiles and messages that are unknown are left out. A profile that was absorbed is left out, and
        so is the profile of an identifier where the caller has it already (`known`).
        """
        ...

    def touched_since(self, snapshot: int) -> tuple[int, Changed | None]:
        """The newest snapshot, and what others' commits changed since `snapshot`; None: too much to say."""
        ...

    def turn(self) -> AbstractContextManager[object]:
        """Wait until nobody else is within such a turn: for a commit that is too dear to be refused.

        A courtesy, no lock: who does not ask for a turn may commit all the same, and who waits too long goes on.
        """
        ...

    def commit(
        self,
        parts: Sequence[Changes],
        loaded: Loaded,
        encoded: Mapping[int, bytes],
        waiting: Callable[[], object] = at_once,
    ) -> int:
        """Write what was changed in one durable transaction and return the new snapshot number.

        Each part is a commit with a number of its own, made on what the parts before it have left; they are of
        different partitions. `encoded` holds the bytes of each profile in their `profiles`, as the last of them left
        it. Raises `Conflict`, having written nothing, where a commit after `loaded.snapshot` touched an identifier,
        profile or message that these read or write, or moved the cursor of one of their partitions.

        Another thread may `load` meanwhile, and finds what was there before or what is there after. `waiting` is called
        by this thread once all that is left takes little computing, if it comes to that; maybe more than once.
        """
        ...

    def due(self, partition: int, until_ms: int, limit: int) -> list[tuple[int, int]]:
        """Armed timers (due, profile id) of this partition with due <= until_ms, earliest first."""
        ...

    def next_due_ms(self, partition: int) -> int:
        """When the earliest timer of this partition is due; NEVER_MS without one."""
        ...

    def profile_ids(self, partition: int, after: int, limit: int) -> list[int]:
        """Ids > after of the people's profiles at home in this partition, ascending."""
        ...

    def account_ids(self, partition: int, after: int, limit: int) -> list[int]:
        """Ids > after of the accounts at home in this partition, ascending."""
        ...

    # --- reading, from any process -------------------------------------------------------------------------
    def lookup(self, identifier: str) -> int | None:
        """The profile that has this identifier."""
        ...

    def owners(self, identifiers: Iterable[str]) -> dict[str, int]:
        """Each of these identifiers → the profile that has it; those that nobody has are left out."""
        ...

    def profile(self, profile: int) -> bytes | None:
        """The profile with this id, or the survivor of its merges."""
        ...

    def survivors(self, profiles: Iterable[int]) -> dict[int, bytes]:
        """Each of these ids → what `profile` says of it; those of whom there is nothing are left out."""
        ...

    def members(self, audience: str, after: int, limit: int) -> list[tuple[int, int]]:
        """(profile id, entered at) of members with id > after, ascending."""
        ...

    def sizes(self) -> dict[str, int]:
        """Members of each audience that has any, in O(audiences)."""
        ...

    def size(self, relation: str) -> int:
        """Members of one audience, or of one account (`model.account.members_of`), in O(1)."""
        ...

    def counts(self) -> dict[str, int]:
        """Sums over partitions of all counts, and `profiles`, which are people's."""
        ...

    def effects(self, after: int, limit: int) -> list[tuple[int, int, list[AnyEffect]]]:
        """Up to `limit` commits with effects, after the commit numbered `after`: (number, partition, effects)."""
        ...

    def commits(self, after: int, max_bytes: int) -> list[Commit]:
        """Commits with effects, after the one numbered `after`: as few as come to `max_bytes`, or all there are."""
        ...

    def newest(self) -> int:
        """The number of the newest commit."""
        ...

    def watch(self) -> int | None:
        """A file descriptor that can be read from when there may be a new commit; None: look now and then.

        It says too much rather than too little. Who has it empties it before looking, and closes it.
        """
        ...

    def quarantined(self, after: tuple[int, int], limit: int) -> list[Quarantined]:
        """Quarantined events after this (partition, position), in that order."""
        ...

    def trim_effects(self, before: int) -> int:
        """Forget the effects of commits numbered below `before`; returns how many commits."""
        ...

    def digest(self) -> dict[str, str]:
        """Hex digests by part (`profiles`, `identifiers`, …); equal logs give equal digests, whatever the batches."""
        ...

    def items(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Everything that counts, as (part, key, value), in a defined order: what `digest` is made from.

        All of one snapshot, which an engine may have to hold meanwhile: of a busy state, read a copy.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Outcome(NamedTuple):
    """How one attempt at a delivery ended."""

    delivered: bool
    status: int = 0
    reason: str = ""
    retry: bool = True
    """False: trying again cannot help (the destination said so)."""
    retry_after_s: float | None = None


class Destination(Protocol):
    """A system that deliveries go to. Retries, order, limits and parking are the runtime's, not the connector's."""

    async def send(self, key: str, payload: Mapping[str, Any]) -> Outcome:
        """Try once to send one payload under its idempotency key."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Deliveries(Protocol):
    """The book of the deliver role: progress, counts, and every delivery that waits for a retry or is parked.

    One process keeps it at a time (`try_hold`). Any other may read it, and ask for replays.
    """

    # --- reading, from any process -------------------------------------------------------------------------
    def counts(self) -> dict[str, dict[str, int]]:
        """Destination → counts up to its low-water mark: taken = delivered + pending + `parked.…` + `filtered.…`."""
        ...

    def standings(self) -> dict[str, Standing]:
        """Destination → where it stands."""
        ...

    def lag(self, newest_commit: int) -> dict[str, int]:
        """Destination that is followed → commits that are not wholly settled yet."""
        ...

    def low_water(self) -> int:
        """No destination, and none that may yet be defined, needs effects of commits up to this one again."""
        ...

    def pending(self, destination: str, limit: int) -> list[Delivery]:
        """The oldest deliveries that wait for a retry, or behind one, with their payloads."""
        ...

    def parked(self, destination: str, after: int, limit: int) -> list[Delivery]:
        """Parked deliveries with seq > `after`, oldest first, with their payloads."""
        ...

    # --- asking for a replay, from any process -------------------------------------------------------------
    def replay(self, destination: str | None, keys: Iterable[str] | None) -> int:
        """Ask that parked deliveries be sent again, of one destination or all, all of them or those with these keys.

        The deliver role does it: soon, or when it runs again. Also switches a destination on again that had
        answered 410. Returns how many are parked now and meant. Raises `NotFoundError` for an unknown destination.
        """
        ...

    # --- keeping the book ----------------------------------------------------------------------------------
    def try_hold(self) -> bool:
        """Keep the book from now on, where nobody else does; False: another does. Who keeps it already goes on.

        It ends with `close` or with the process, at the latest `limits.BOOK_LEASE_S` after the process has stopped
        to call `renew`. Comes before `mark` and `load`: what was read earlier, another may have written over since.
        """
        ...

    def renew(self) -> None:
        """Go on keeping it; to be called every `limits.BOOK_RENEW_S`.

        Raises `Superseded` where another has taken it over or, as nobody can be asked, may have by now; `Unavailable`
        where nobody can be asked yet.
        """
        ...

    def write(self, changes: Iterable[Progress], mark: int, following: Iterable[str]) -> None:
        """Write all of this in one durable transaction. Destinations not in `following` hold up nothing.

        Raises `Superseded`, having written nothing, where another has taken the book over; `StorageError` and its
        other kin: call again with the same, which changes nothing where it had been written after all.
        """
        ...

    def finish(self, request: int) -> None:
        """A replay is done, and written; one that was finished before stays so. Raises `Superseded` as `write`."""
        ...

    # --- for who keeps it ----------------------------------------------------------------------------------
    def mark(self) -> int:
        """The commit after which destinations begin that nobody has heard of yet."""
        ...

    def load(self, destination: str) -> Kept:
        """What there is to go on from."""
        ...

    def payload(self, destination: str, seq: int) -> bytes:
        """The payload of a pending or parked delivery."""
        ...

    def requests(self) -> dict[int, Request]:
        """Replays that were asked for and are not done, oldest first."""
        ...

    def parked_rows(self, destination: str, request: Request, after: int, limit: int) -> list[Delivery]:
        """Rows of parked deliveries with seq > `after` that a replay means, without payloads."""
        ...

    def parked_before(self, destination: str, at_ms: int, limit: int) -> list[Delivery]:
        """Rows of the oldest deliveries, as far as they were parked before this instant, without payloads."""
        ...

    def watch(self) -> int | None:
        """A file descriptor that can be read from once somebody has asked for a replay; None: look now and then.

        It says too much rather than too little. Who has it empties it before looking, and closes it.
        """
        ...

    def close(self) -> None:
        """Let go of the book, of files and connections."""
        ...


class Connection(Protocol):
    """What is used of a DuckDB connection."""

    @property
    def description(self) -> Any:
        """Of the latest statement's columns, a tuple each, of which the name is first."""
        ...

    def execute(self, query: str, parameters: Sequence[Any] = ...) -> "Connection":
        """Run one statement; what it gives is fetched from what this returns."""
        ...

    def register(self, view_name: str, python_object: object) -> Any:
        """Let a table of Arrow be queried under this name."""
        ...

    def unregister(self, view_name: str) -> Any:
        """No more."""
        ...

    def interrupt(self) -> None:
        """From another thread: end the statement that is under way with an error."""
        ...

    def fetchall(self) -> list[Any]:
        """The rows that are left of the latest statement."""
        ...

    def fetchmany(self, size: int = ...) -> list[Any]:
        """Up to so many of them; none: there are no more."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class HistoryReader(Protocol):
    """Every admitted event, merge and move, for questions about the past; each call sees what was written before."""

    def cursor(self) -> int:
        """The number of the state's commit up to which all is here; 0: nothing yet."""
        ...

    def of_profiles(self, profiles: Collection[int]) -> list[Past]:
        """Events that were these profiles' when they were admitted, or are since a recast, as they happened.

        Of a person the caller names the survivor and all that it has absorbed. Cost: what these people have, not what
        history has.
        """
        ...

    def scan(self, extent: Extent = EVERYTHING) -> Iterator[list[Past]]:
        """Events of one snapshot, by profile and then in the order in which they happened, some thousand at a time."""
        ...

    def merges(self, absorbed: Collection[int] | None = None) -> list[PastMerge]:
        """All merges, or those by which these profiles ended, in the order of log time."""
        ...

    def recasts(self) -> list[PastRecast]:
        """All recasts, in the order in which they happened.

        `of_profiles`, `scan` and SQL show what they have changed.
        """
        ...

    def moves_since(self) -> int | None:
        """The log time from which on all moves are here; what was before it is said by moves that are STANDING.

        None: none are, as this history was written by an older Onefold and nobody has written it since.
        """
        ...

    def moves_of(self, profiles: Collection[int]) -> list[PastMove]:
        """The moves of these profiles, in the order in which they happened."""
        ...

    def connect(self, spill: str = "") -> Connection:
        """A DuckDB connection of one's own with `events`, `merges`, `moves` and `recasts` of one snapshot.

        `events` says whose each is since the last recast; `merges` are those that hold, `told_merges` all of them.

        `spill`: a directory for what does not fit the memory; without it nothing goes to the disk.

        Their columns: `storage/history/layout.py`. Nothing that is done there changes history. The caller closes it.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class History(HistoryReader, Protocol):
    """The same for who writes it: one process at a time (`try_hold`)."""

    def try_hold(self) -> bool:
        """Be the one who writes from now on, where nobody else is; False: another is. It ends with `close`."""
        ...

    def begin_moves(self, standing: Iterable[PastMove]) -> None:
        """Keep moves from now on: who is in which audience and since when, and last of all `past.beginning`.

        Comes once, before any move is appended: `moves_since` is None until then, and again after an exception or the
        end of the process in between. `standing` is gone through once, and may be made on the way.
        """
        ...

    def append(  # noqa: PLR0913, PLR0917 - what one commit carries
        self,
        pasts: Iterable[Past],
        merges: Sequence[PastMerge],
        cursor: int,
        moves: Sequence[PastMove] = (),
        recasts: Sequence[PastRecast] = (),
        names: Names | None = None,
    ) -> None:
        """Write what the commits after `cursor()` up to this number have admitted, merged, moved and recast, durably.

        All of it is there afterwards, once, and the cursor is at `cursor`; after an exception (`StorageError`) or the
        end of the process either all of it is there or the cursor is where it was, and the same or more is to be
        written again. `pasts` is gone through once, and may be made on the way; what it raises is passed on. `names`,
        of these events, is gone through after it, and there as soon as the events are. Raises `Superseded`, having
        written nothing, where another has taken over the writing.
        """
        ...

    def named_to(self, reading: int) -> int | None:
        """Before which day (since 1970, of event time) the names of all events are there, read in this way.

        Those of events that were appended with their names are there, too. `past.NAMES_COMPLETE`: all are. None: none
        were read so since `keep_names` began anew.
        """
        ...

    def keep_names(self, names: Names, day: int, *, anew: bool = False) -> None:
        """Add names of events that are there already, and note before which day all are known by now, in one commit.

        `anew`: instead of those that are there, which were read in another way. SQL sees them as `names`
        (`storage/history/name_pairs.py`).
        """
        ...

    def settled(self) -> int:
        """The cursor that no loss of power takes back: what comes up to it need not be kept elsewhere for history."""
        ...

    def tidy(self) -> bool:
        """One piece of housekeeping, if there is any to do: larger files, and forgetting. False: there was none."""
        ...


class Proposals(Protocol):
    """Links that are proposed, what was decided of them, and the weights that they are scored by.

    One role writes proposals; anybody decides, at any time.
    """

    def cursor(self) -> int:
        """The commit of the state up to which changed profiles were scored; -1: nothing was yet."""
        ...

    def weights(self) -> bytes | None:
        """The weights that were kept last (`matching.weights`)."""
        ...

    def keep_weights(self, weights: bytes) -> None:
        """Keep these weights, instead of those that were there."""
        ...

    def put(
        self, proposals: Iterable[Proposal], scored: Collection[int], cursor: int, ties: Iterable[Tie] = ()
    ) -> None:
        """In one transaction: keep all that is now proposed of the profiles that were scored, and move the cursor.

        What else was proposed of them is forgotten. What somebody has decided of a pair stays, whatever it scores now.
        The same with ties, of which nobody decides.
        """
        ...

    def ties(self, profiles: Collection[int]) -> list[Tie]:
        """The ties of any of these profiles, the surest first, then by ids."""
        ...

    def tie_page(self, after: tuple[int, int], limit: int) -> list[Tie]:
        """All ties, by ids; `after`: those of the last one seen."""
        ...

    def page(self, standing: Judgement, after: tuple[float, int, int] | None, limit: int) -> list[KeptProposal]:
        """Those that stand so, the highest score first, then by ids; `after`: score and ids of the last one seen."""
        ...

    def counts(self) -> dict[Judgement, int]:
        """How many stand how; those of which there are none are left out."""
        ...

    def find(self, a: int, b: int) -> KeptProposal | None:
        """What is kept of this pair; None: nothing is proposed of it."""
        ...

    def decide(self, a: int, b: int, standing: Judgement, by: str, tag: str = "") -> KeptProposal:
        """Accept or refuse, also what was decided before. Raises `NotFoundError` where the pair is not proposed.

        `tag`: that of the proposal which the decision was made from; raises `PreconditionFailed` where it is another
        by now, as somebody has decided meanwhile, or the two score otherwise. Empty: whatever it is.
        """
        ...

    def mark(self, pairs: Collection[tuple[int, int]], by: str) -> None:
        """Those of these pairs that stand `sure` are linked."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Catalog(Protocol):
    """Sources, keys and versions of definitions. Any number of processes and threads may use it at once."""

    tells_at_once: bool
    """The sign of a change (`watch`) is there before the change is said to be made."""

    # --- sources -------------------------------------------------------------------------------------------
    def create_source(self, name: str, kind: str = "http") -> str:
        """Create a source and return its write key. Raises `AlreadyExists`, `InvalidRequest`."""
        ...

    def sources(self) -> list[SourceRow]:
        """All sources, by name."""
        ...

    def write_keys(self) -> dict[str, str]:
        """Write key → name of its source; only those that are enabled."""
        ...

    def enable_source(self, name: str, *, enabled: bool) -> None:
        """Let a source send, or stop it. Raises `NotFoundError`."""
        ...

    def rotate_write_key(self, name: str) -> str:
        """Give a source a new write key; the old one stops at once. Raises `NotFoundError`."""
        ...

    # --- secret keys ---------------------------------------------------------------------------------------
    def create_secret_key(self, name: str, scopes: Iterable[str]) -> str:
        """Create a secret key and return it, this once only. Raises `AlreadyExists`, `InvalidRequest`."""
        ...

    def secret_keys(self) -> list[SecretKeyRow]:
        """All secret keys, also revoked ones, oldest first."""
        ...

    def revoke(self, name: str) -> None:
        """Make a secret key worthless, at once and for ever. Raises `NotFoundError`."""
        ...

    def digests(self) -> dict[bytes, frozenset[str]]:
        """`model.catalog.digest(key)` → its scopes, of every key in force: what a server keeps in memory."""
        ...

    def authenticate(self, plain: str) -> frozenset[str] | None:
        """The scopes of a secret key; None where it is unknown or revoked."""
        ...

    def holder(self, plain: str) -> str | None:
        """The name of a secret key; None where it is unknown or revoked."""
        ...

    # --- definitions ---------------------------------------------------------------------------------------
    def definitions(self, version: int | None = None) -> Definitions:
        """That version of the definitions, or the latest; version 0 is empty. Raises `NotFoundError`."""
        ...

    def save_definitions(self, definitions: Definitions, author: str, *, base: int | None = None) -> Definitions:
        """Keep these definitions as a new version and return them with its number; unchanged ones keep theirs.

        Sources that they name are created, or changed to what they say; others stay. With `base`, raises
        `Conflict` where the latest version is not (any more) that one. While definitions are `coming`, raises
        `InvalidRequest` for any but these, and those in force without them (which calls them off).
        """
        ...

    def versions(self) -> list[VersionRow]:
        """All versions of the definitions, oldest first."""
        ...

    def pause_backfill(self, *, paused: bool) -> None:
        """Ask that definitions that are coming not be computed for now, or that they be again."""
        ...

    def backfill_paused(self) -> bool:
        """Whether somebody has asked so."""
        ...

    # --- signing secrets -----------------------------------------------------------------------------------
    def signing_secret(self, destination: str) -> str:
        """The secret that a destination's webhooks are signed with (Standard Webhooks); made on first use."""
        ...

    def signing_secrets(self, destination: str) -> tuple[SigningSecret, ...]:
        """Every secret in force: the one above, made on first use, then former ones, the last to end first."""
        ...

    def rotate_signing_secret(self, destination: str, old_valid_s: int) -> str:
        """Give a destination a new signing secret and return it; former ones stay in force so long at most.

        Raises `InvalidRequest` where that would be too long, or too many at once.
        """
        ...

    # --- the rest ------------------------------------------------------------------------------------------
    def generation(self) -> int:
        """A number that grows whenever anything here changes; one indexed read."""
        ...

    def watch(self) -> int | None:
        """A file descriptor that can be read from when `generation` may have grown; None: look now and then.

        It says too much rather than too little. Who has it empties it before asking, and closes it.
        """
        ...

    def bootstrap(self) -> tuple[str, str] | None:
        """On an empty catalog, make the source `default` and the secret key `admin` and return both keys; else None."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
