"""`onefold doctor`: look at everything that a workspace has and say what is wrong and what to do about it."""

import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Literal

from msgspec import Struct

from onefold import kernel
from onefold.clock import SystemClock
from onefold.errors import NotFoundError, OnefoldError, Unavailable
from onefold.language.instants import show_instant
from onefold.language.reading.check import taken_names
from onefold.ports import Catalog, Deliveries, LogReader, State
from onefold.runtime import supervisor
from onefold.runtime.history.lag import lag_ms
from onefold.settings import Settings
from onefold.storage.directory import FORMAT
from onefold.storage.embedded.state import LmdbState
from onefold.storage.place import Place

Verdict = Literal["ok", "warn", "fail"]

READER_LAG_MAX = 10_000
"""Commits that the oldest reader may be behind before the pages that it holds are worth a word."""
LAG_WARN_RECORDS = 10_000
HISTORY_LAG_WARN_MS = 120_000
OUTCOMES = ("admitted", "duplicate")


class Finding(Struct, frozen=True):
    """One thing that was looked at. `advice` says what to do; empty where nothing is to be done."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""


class _Open(Struct):
    """What could be opened; the rest is None."""

    settings: Settings
    place: Place
    catalog: Catalog | None = None
    log: LogReader | None = None
    state: State | None = None
    deliveries: Deliveries | None = None


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; never raises for what it finds."""
    try:
        place = Place.open(settings, create=False)
    except OnefoldError as error:
        return [Finding("directory", "fail", str(error), "name the right one with --data")]
    found = [Finding("place", "ok", f"{place.name}, format {FORMAT}" if place.directory else place.name)]
    found.append(_kernel())
    opened = _Open(settings, place)
    try:
        found += _open_all(opened)
        for look in (_platform, _permissions, _disk, _names, _events, _lag, _readers, _deliveries, _history):
            found += _guarded(look, opened)
    finally:
        for part in (opened.deliveries, opened.state, opened.log, opened.catalog):
            if part is not None:
                part.close()
    return found


def _kernel() -> Finding:
    found = kernel.found
    if found.is_amiss:
        return Finding("kernel", "warn", found.standing, "pip install -U 'onefold[kernel]'; until then Python does it")
    return Finding("kernel", "ok", found.standing)


def _open_all(opened: _Open) -> Iterator[Finding]:
    place = opened.place
    openers: dict[str, Callable[[], object]] = {
        "catalog": place.catalog,
        "log": place.log_reader,
        "state": lambda: place.state(readonly=True),
        "deliveries": lambda: place.deliveries(readonly=True),
    }
    for name, opener in openers.items():
        try:
            setattr(opened, name, opener())
        except NotFoundError as error:
            yield Finding(name, "warn", str(error), "start `onefold serve` once; it is made then")
        except OnefoldError as error:
            yield Finding(name, "fail", f"{error.code}: {error}", _remedy(error))
        else:
            yield Finding(name, "ok", "opens")


def _remedy(error: OnefoldError) -> str:
    """What to do where an engine does not open."""
    if isinstance(error, Unavailable):
        return "start it, or let this machine reach it; the roles go on by themselves then"
    if error.fault == "operator":
        return "change what it says, and ask again"
    return "restore a backup; `onefold backup --verify` proves one"


def _guarded(look: Callable[[_Open], Iterator[Finding]], opened: _Open) -> list[Finding]:
    try:
        return list(look(opened))
    except OnefoldError as error:
        return [Finding(look.__name__.strip("_"), "fail", f"{error.code}: {error}", "see the log of `onefold serve`")]


def _platform(opened: _Open) -> Iterator[Finding]:
    if opened.place.directory is None:
        return
    running = supervisor.running(opened.place.directory.path)
    yield Finding("platform", "ok", f"runs at {running.url} (process {running.pid})" if running else "is stopped")


def _permissions(opened: _Open) -> Iterator[Finding]:
    if opened.place.directory is None:
        return
    path = opened.place.directory.path
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding("permissions", "warn", f"{path} is open to others ({mode:o})", f"chmod 700 {path}")
    else:
        yield Finding("permissions", "ok", "only you can read the data")


def _disk(opened: _Open) -> Iterator[Finding]:
    free, reserve = opened.place.free_bytes(), opened.settings.disk_reserve_bytes
    if free is None:
        return
    detail = f"{free / 1e9:,.1f} GB free, {reserve / 1e9:,.1f} GB in reserve"
    if free < reserve:
        yield Finding("disk", "fail", detail, "free some space: until then collect answers 503")
    elif free < 4 * reserve:
        yield Finding("disk", "warn", detail, "free some space, or lower log_retention_bytes")
    else:
        yield Finding("disk", "ok", detail)


def _names(opened: _Open) -> Iterator[Finding]:
    if opened.catalog is None:
        return
    for problem in taken_names(opened.catalog.definitions()):
        detail = f"the {problem.part} `{problem.name}` is called as a word of the language is now"
        advice = f"it goes on as it is; the next `onefold apply` wants another name, such as `{problem.suggestion}`"
        yield Finding("names", "warn", detail, advice)


def _events(opened: _Open) -> Iterator[Finding]:
    if opened.state is None:
        return
    counts = opened.state.counts()
    received = counts.get("received", 0)
    parts = {name: counts.get(name, 0) for name in OUTCOMES}
    parts["quarantined"] = sum(n for name, n in counts.items() if name.startswith("quarantined."))
    detail = f"{received:,} received = " + " + ".join(f"{n:,} {name}" for name, n in parts.items())
    if received != sum(parts.values()):
        yield Finding("events", "fail", detail.replace("=", "≠"), "run `onefold replay --verify`, and report it")
    else:
        yield Finding("events", "ok", detail)
    if parts["quarantined"] > received // 20:
        yield Finding(
            "quarantine", "warn", f"{parts['quarantined']:,} events", "`onefold quarantine list` says which and why"
        )


def _lag(opened: _Open) -> Iterator[Finding]:
    if opened.log is None or opened.state is None:
        return
    behind = {p: opened.log.ends(p)[1] - opened.state.cursor(p).offset for p in range(opened.log.partitions)}
    records = sum(behind.values())
    if min(behind.values()) < 0:
        yield Finding("lag", "fail", f"the state is ahead of the log: {behind}", "restore a backup of both")
    elif records > LAG_WARN_RECORDS:
        advice = "start `onefold serve` if it is stopped, or give it more --workers"
        yield Finding("lag", "warn", f"{records:,} records wait to be folded", advice)
    else:
        yield Finding("lag", "ok", f"{records:,} records wait to be folded")


def _readers(opened: _Open) -> Iterator[Finding]:
    if not isinstance(opened.state, LmdbState):
        return
    stats = opened.state.stats().environment
    detail = f"{stats.readers} readers, the oldest {stats.oldest_reader_lag:,} commits behind"
    if stats.oldest_reader_lag > READER_LAG_MAX:
        yield Finding("readers", "warn", detail, "a reader hangs and keeps old pages: stop that process")
    else:
        yield Finding("readers", "ok", detail)


def delivery_waits(store: Deliveries, destination: str) -> str:
    """Why the oldest delivery that waits at a destination was not delivered yet; empty where none has failed."""
    for oldest in store.pending(destination, 1):
        if oldest.attempts:
            return f"{oldest.reason}, {oldest.attempts:,} attempt{'s' if oldest.attempts != 1 else ''}"
    return ""


def _deliveries(opened: _Open) -> Iterator[Finding]:
    if opened.deliveries is None:
        return
    for destination, counts in sorted(opened.deliveries.counts().items()):
        parked = sum(n for name, n in counts.items() if name.startswith("parked."))
        kept = ("delivered", "pending")
        rest = sum(n for name, n in counts.items() if name in kept or name.startswith(("parked.", "filtered.")))
        detail = ", ".join(f"{n:,} {name}" for name, n in sorted(counts.items()))
        if counts.get("taken", rest) != rest:
            yield Finding(f"deliveries to {destination}", "fail", detail, "the counts do not close: please report it")
        elif parked:
            advice = f"`onefold deliveries parked {destination}` says why, `… replay {destination}` sends them again"
            yield Finding(f"deliveries to {destination}", "warn", detail, advice)
        elif why := delivery_waits(opened.deliveries, destination):
            advice = f"the oldest that waits has failed so far ({why}): look at the receiver and at its url"
            yield Finding(f"deliveries to {destination}", "warn", detail, advice)
        else:
            yield Finding(f"deliveries to {destination}", "ok", detail or "none yet")


def _history(opened: _Open) -> Iterator[Finding]:
    settled = opened.place.history_settled()
    if settled is None:
        yield Finding("history", "ok", "is off: no queries, no previews, no backfills (docs/history.md)")
        return
    if opened.state is None:
        return
    behind_ms = lag_ms(opened.state, settled, SystemClock())
    detail = f"written up to commit {settled:,}, {behind_ms / 1000:,.0f} s behind{_moves(opened.place)}"
    if behind_ms > HISTORY_LAG_WARN_MS:
        advice = (
            "start `onefold serve` or `onefold history`; until then effects and log are kept (or `history = false`)"
        )
        yield Finding("history", "warn", detail, advice)
    else:
        yield Finding("history", "ok", detail)


def _moves(place: Place) -> str:
    """From when on it is known who was in which audience."""
    try:
        with closing(place.history_reader()) as history:
            since_ms = history.moves_since()
    except NotFoundError:
        return ""
    if since_ms is None:
        return "; memberships are kept from the next start of the role on"
    return f"; memberships kept since {show_instant(since_ms)}" if since_ms else "; memberships kept from the beginning"
