"""The catalog: sources, keys and versions of definitions of one workspace, in a small SQL database.

What is asked and changed stands here, once for every database; how one is opened, how changes take turns and who is
told of them is the `Database`'s business. Every change begins with the generation's row: whoever has changed it keeps
all others waiting until the end, so that what was read before a write still holds when it is written.
Write keys are public by nature (they are shipped in web pages) and are kept as they are; of secret keys only
the digest is kept (`model.catalog.digest`).
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from onefold.clock import Clock
from onefold.errors import AlreadyExists, Conflict, Damaged, InvalidRequest, NotFoundError
from onefold.limits import SIGNING_OLD_VALID_MAX_S, SIGNING_SECRETS_MAX
from onefold.model.catalog import SCOPES, SecretKeyRow, SourceRow, VersionRow, digest
from onefold.model.definitions import Definitions
from onefold.model.signing import SigningSecret
from onefold.storage import catalog_tables as tables

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Database(Protocol):
    """Where the tables lie. Errors of the driver leave the transactions as `StorageError` and its kin."""

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that changes nothing."""
        ...

    def changing(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that is durable once the context has ended; of its end, whoever watches is told."""
        ...

    def watch(self) -> int | None:
        """As `ports.Catalog.watch`."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class SqlCatalog:
    """One workspace's catalog. Any number of processes and threads may use it at once; calls block for a disk sync."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # --- sources ---------------------------------------------------------------------------------------------
    def create_source(self, name: str, kind: str = "http") -> str:
        """Create a source and return its write key. Raises `AlreadyExists`, `InvalidRequest`."""
        with self._change() as connection:
            return self._insert_source(connection, name, kind, enabled=True)

    def sources(self) -> list[SourceRow]:
        """All sources, by name."""
        with self._database.reading() as connection:
            return [
                SourceRow(*row) for row in connection.execute(sa.select(tables.sources).order_by(tables.sources.c.name))
            ]

    def write_keys(self) -> dict[str, str]:
        """Write key → name of its source; only those that are enabled."""
        return {source.write_key: source.name for source in self.sources() if source.enabled}

    def enable_source(self, name: str, *, enabled: bool) -> None:
        """Let a source send, or stop it. Raises `NotFoundError`."""
        self._update_source(name, enabled=enabled)

    def rotate_write_key(self, name: str) -> str:
        """Give a source a new write key; the old one stops at once. Raises `NotFoundError`."""
        key = self._token("wk_")
        self._update_source(name, write_key=key)
        return key

    # --- secret keys -----------------------------------------------------------------------------------------
    def create_secret_key(self, name: str, scopes: Iterable[str]) -> str:
        """Create a secret key and return it, this once only. Raises `AlreadyExists`, `InvalidRequest`."""
        with self._change() as connection:
            return self._insert_secret_key(connection, name, scopes)

    def secret_keys(self) -> list[SecretKeyRow]:
        """All secret keys, revoked ones too, in the order they were made."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(tables.secret_keys).order_by(tables.secret_keys.c.id))
            return [_key_row(row) for row in rows]

    def revoke(self, name: str) -> None:
        """Make a secret key worthless, at once and for ever. Raises `NotFoundError`."""
        active = (tables.secret_keys.c.name == name) & tables.secret_keys.c.revoked_at_ms.is_(None)
        change = tables.secret_keys.update().where(active).values(revoked_at_ms=self._clock.now_ms())
        with self._change() as connection:
            if not _NAME.fullmatch(name) or not connection.execute(change).rowcount:
                raise NotFoundError(f"there is no secret key named {name!r}")

    def digests(self) -> dict[bytes, frozenset[str]]:
        """`digest(key)` → its scopes, of every key in force: what a server keeps in memory."""
        with self._database.reading() as connection:
            columns = sa.select(tables.secret_keys.c.digest, tables.secret_keys.c.scopes)
            rows = connection.execute(columns.where(tables.secret_keys.c.revoked_at_ms.is_(None)))
            return {found: frozenset(scopes) for found, scopes in rows}

    def authenticate(self, plain: str) -> frozenset[str] | None:
        """The scopes of a secret key; None where it is unknown or revoked."""
        return self.digests().get(digest(plain))

    def holder(self, plain: str) -> str | None:
        """The name of a secret key; None where it is unknown or revoked."""
        keys = tables.secret_keys.c
        wanted = sa.select(keys.name).where((keys.digest == digest(plain)) & keys.revoked_at_ms.is_(None))
        with self._database.reading() as connection:
            found = connection.scalar(wanted)
        return None if found is None else str(found)

    # --- definitions -----------------------------------------------------------------------------------------
    def definitions(self, version: int | None = None) -> Definitions:
        """That version of the definitions, or the latest; version 0 is empty. Raises `NotFoundError`."""
        if version == 0:
            return Definitions()
        with self._database.reading() as connection:
            found = _load_definitions(connection, version)
        if found is None and version is not None:
            raise NotFoundError(f"there is no version {version} of the definitions")
        return found or Definitions()

    def save_definitions(self, definitions: Definitions, author: str, *, base: int | None = None) -> Definitions:
        """Keep these definitions as a new version and return them with its number; unchanged ones keep theirs.

        Sources that they name are created, or changed to what they say; others stay. With `base`, raises
        `Conflict` where the latest version is not (any more) that one. While definitions are `coming`, raises
        `InvalidRequest` for any but these, and those in force without them (which calls them off).
        """
        with self._change() as connection:
            latest = _load_definitions(connection, None) or Definitions()
            if base is not None and latest.version != base:
                raise Conflict(f"the definitions are at version {latest.version} by now, not {base}")
            _check_coming(latest, definitions)
            self._upsert_sources(connection, definitions)
            if _content(latest) == _content(definitions):
                return latest
            saved = msgspec.structs.replace(definitions, version=latest.version + 1)
            connection.execute(
                tables.definitions.insert().values(
                    version=saved.version,
                    body=msgspec.json.encode(saved),
                    author=author,
                    created_at_ms=self._clock.now_ms(),
                )
            )
            return saved

    def versions(self) -> list[VersionRow]:
        """All versions of the definitions, oldest first."""
        columns = sa.select(
            tables.definitions.c.version, tables.definitions.c.author, tables.definitions.c.created_at_ms
        )
        with self._database.reading() as connection:
            return [VersionRow(*row) for row in connection.execute(columns.order_by(tables.definitions.c.version))]

    def pause_backfill(self, *, paused: bool) -> None:
        """Ask that definitions that are coming not be computed for now, or that they be again."""
        with self._change() as connection:
            connection.execute(tables.numbers.delete().where(tables.numbers.c.name == tables.BACKFILL_PAUSED))
            connection.execute(tables.numbers.insert().values(name=tables.BACKFILL_PAUSED, value=int(paused)))

    def backfill_paused(self) -> bool:
        """Whether somebody has asked so."""
        with self._database.reading() as connection:
            wanted = sa.select(tables.numbers.c.value).where(tables.numbers.c.name == tables.BACKFILL_PAUSED)
            return bool(connection.scalar(wanted))

    # --- signing secrets -------------------------------------------------------------------------------------
    def signing_secret(self, destination: str) -> str:
        """The secret that a destination's webhooks are signed with (Standard Webhooks); made on first use."""
        with self._database.reading() as connection:
            if (found := _signing_secret(connection, destination)) is not None:
                return found
        with self._change() as connection:
            return self._signing_secret(connection, destination)

    def signing_secrets(self, destination: str) -> tuple[SigningSecret, ...]:
        """Every secret in force: the one above, made on first use, then former ones, the last to end first."""
        current = SigningSecret(self.signing_secret(destination))
        with self._database.reading() as connection:
            return (current, *_old_secrets(connection, destination, self._clock.now_ms()))

    def rotate_signing_secret(self, destination: str, old_valid_s: int) -> str:
        """Give a destination a new signing secret and return it; former ones stay in force so long at most.

        Raises `InvalidRequest` where that would be too long, or too many at once.
        """
        if not 0 <= old_valid_s <= SIGNING_OLD_VALID_MAX_S:
            raise InvalidRequest(f"a former secret stays in force for 0 to {SIGNING_OLD_VALID_MAX_S} seconds")
        now_ms = self._clock.now_ms()
        until_ms = now_ms + old_valid_s * 1000
        former = tables.old_signing_secrets.c.destination == destination
        with self._change() as connection:
            old = [SigningSecret(self._signing_secret(connection, destination), until_ms)]
            old += _old_secrets(connection, destination, now_ms)
            if old_valid_s and len(old) >= SIGNING_SECRETS_MAX:
                raise InvalidRequest(
                    f"{len(old)} secrets of {destination!r} are in force already; wait until one has ended, "
                    "or end all of them now: let the former be valid for 0 seconds"
                )
            connection.execute(tables.old_signing_secrets.delete().where(former))
            for one in old if old_valid_s else ():
                row = {"destination": destination, "secret": one.secret, "until_ms": min(one.until_ms, until_ms)}
                connection.execute(tables.old_signing_secrets.insert().values(row))
            secret = self._new_signing_secret()
            named = tables.signing_secrets.c.destination == destination
            connection.execute(tables.signing_secrets.update().where(named).values(secret=secret))
            return secret

    # --- the rest --------------------------------------------------------------------------------------------
    def generation(self) -> int:
        """A number that grows whenever anything here changes; one indexed read."""
        with self._database.reading() as connection:
            return int(
                connection.scalar(sa.select(tables.numbers.c.value).where(tables.numbers.c.name == tables.GENERATION))
                or 0
            )

    def watch(self) -> int | None:
        """A file descriptor that can be read from when this may have grown; None: look now and then."""
        return self._database.watch()

    def bootstrap(self) -> tuple[str, str] | None:
        """On an empty catalog, make the source `default` and the secret key `admin` and return both keys; else None."""
        with self._change() as connection:
            for table in (tables.sources, tables.secret_keys):
                if connection.scalar(sa.select(sa.func.count()).select_from(table)):
                    return None
            write_key = self._insert_source(connection, "default", "http", enabled=True)
            return write_key, self._insert_secret_key(connection, "admin", ["*"])

    def close(self) -> None:
        """Let go of connections."""
        self._database.close()

    # --- within ----------------------------------------------------------------------------------------------
    @contextmanager
    def _change(self) -> Iterator[sa.Connection]:
        with self._database.changing() as connection:
            named = tables.numbers.c.name == tables.GENERATION
            grown = tables.numbers.update().where(named).values(value=tables.numbers.c.value + 1)
            connection.execute(grown)
            yield connection

    def _token(self, prefix: str) -> str:
        return prefix + base64.b32encode(self._clock.random_bytes(20)).decode().lower()

    def _signing_secret(self, connection: sa.Connection, destination: str) -> str:
        if (found := _signing_secret(connection, destination)) is not None:
            return found
        secret = self._new_signing_secret()
        connection.execute(tables.signing_secrets.insert().values(destination=destination, secret=secret))
        return secret

    def _new_signing_secret(self) -> str:
        return "whsec_" + base64.b64encode(self._clock.random_bytes(32)).decode()

    def _insert_source(self, connection: sa.Connection, name: str, kind: str, *, enabled: bool) -> str:
        _check_name(name)
        _check_name(kind)
        if connection.scalar(sa.select(tables.sources.c.name).where(tables.sources.c.name == name)):
            raise AlreadyExists(f"there is a source named {name!r} already")
        row = SourceRow(name, kind, enabled, self._token("wk_"), self._clock.now_ms())
        connection.execute(tables.sources.insert().values(msgspec.structs.asdict(row)))
        return row.write_key

    def _update_source(self, name: str, **values: Any) -> None:
        with self._change() as connection:
            change = tables.sources.update().where(tables.sources.c.name == name).values(values)
            if not _NAME.fullmatch(name) or not connection.execute(change).rowcount:
                raise NotFoundError(f"there is no source named {name!r}")

    def _upsert_sources(self, connection: sa.Connection, definitions: Definitions) -> None:
        known = set(connection.scalars(sa.select(tables.sources.c.name)))
        for source in definitions.sources:
            _check_name(source.kind)
            if source.name not in known:
                self._insert_source(connection, source.name, source.kind, enabled=source.enabled)
                continue
            change = tables.sources.update().where(tables.sources.c.name == source.name)
            connection.execute(change.values(kind=source.kind, enabled=source.enabled))

    def _insert_secret_key(self, connection: sa.Connection, name: str, scopes: Iterable[str]) -> str:
        _check_name(name)
        wanted = _check_scopes(scopes)
        active = (tables.secret_keys.c.name == name) & tables.secret_keys.c.revoked_at_ms.is_(None)
        if connection.scalar(sa.select(tables.secret_keys.c.id).where(active)) is not None:
            raise AlreadyExists(f"there is a secret key named {name!r} already")
        plain = self._token("sk_")
        connection.execute(
            tables.secret_keys.insert().values(
                name=name, digest=digest(plain), hint=plain[-4:], scopes=wanted, created_at_ms=self._clock.now_ms()
            )
        )
        return plain


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} is not a name: 1 to 64 letters, digits, `_`, `-` and `.`, not starting with a sign"
        )


def _check_coming(latest: Definitions, definitions: Definitions) -> None:
    if latest.coming is None:
        return
    allowed = latest, latest.coming, msgspec.structs.replace(latest, coming=None)
    if _said(definitions) not in map(_said, allowed):
        raise InvalidRequest(
            f"definitions are being computed over history (since version {latest.version}) and come into force after "
            "that; wait for them (`onefold backfill`), or call them off (`onefold backfill cancel`)"
        )


def _said(definitions: Definitions) -> Definitions:
    """What definitions say, whatever their version and how they come into force."""
    return msgspec.structs.replace(definitions, version=0, note="", quiet=())


def _check_scopes(scopes: Iterable[str]) -> list[str]:
    wanted = sorted(set(scopes))
    if not wanted:
        raise InvalidRequest("a secret key needs at least one scope")
    for scope in wanted:
        if scope != "*" and scope not in SCOPES:
            raise InvalidRequest(f"unknown scope {scope!r}; there are: *, {', '.join(SCOPES)}")
    return wanted


def _key_row(row: Sequence[Any]) -> SecretKeyRow:
    _, name, _, hint, scopes, created_at_ms, revoked_at_ms = row
    return SecretKeyRow(name, tuple(scopes), hint, created_at_ms, revoked_at_ms)


def _signing_secret(connection: sa.Connection, destination: str) -> str | None:
    wanted = sa.select(tables.signing_secrets.c.secret).where(tables.signing_secrets.c.destination == destination)
    found = connection.scalar(wanted)
    return None if found is None else str(found)


def _old_secrets(connection: sa.Connection, destination: str, now_ms: int) -> list[SigningSecret]:
    columns = tables.old_signing_secrets.c
    wanted = sa.select(columns.secret, columns.until_ms).order_by(columns.until_ms.desc(), columns.secret)
    wanted = wanted.where((columns.destination == destination) & (columns.until_ms > now_ms))
    return [SigningSecret(*row) for row in connection.execute(wanted)]


def _content(definitions: Definitions) -> Definitions:
    """What they define, whatever they are called."""
    return msgspec.structs.replace(definitions, version=0, note="")


def _load_definitions(connection: sa.Connection, version: int | None) -> Definitions | None:
    wanted = sa.select(tables.definitions.c.body).order_by(tables.definitions.c.version.desc()).limit(1)
    if version is not None:
        wanted = wanted.where(tables.definitions.c.version == version)
    body = connection.scalar(wanted)
    if body is None:
        return None
    try:
        return msgspec.json.decode(body, type=Definitions)
    except msgspec.MsgspecError as error:
        raise Damaged(f"the definitions in the catalog cannot be read: {error}") from error
