"""`onefold quarantine`: events that were not admitted, with the reason, and another try for those that were mended."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Raw

from onefold.cli import exits, opening
from onefold.cli.options import AsJson, Data, Limit, settings
from onefold.cli.printing import out, plain, print_json, table
from onefold.cli.resending import NOTHING, Fate, Fresh, Kept, made_ready, read_lines, send
from onefold.clock import SystemClock
from onefold.errors import InvalidRequest, NotFoundError, SettingsError, StorageError
from onefold.limits import PAGE_MAX
from onefold.model.quarantined import Quarantined
from onefold.ports import Catalog
from onefold.runtime import supervisor
from onefold.server.engines import Engines
from onefold.server.operating.quarantine import answer, place_of
from onefold.settings import Settings

_SHOWN_CHARS = 60

_app = typer.Typer(
    help="Quarantine: which events were not admitted and why, and another try for those that were mended.",
    no_args_is_help=True,
)

Source = Annotated[str, typer.Option("--source", "-s", help="Only those of this source.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app, name="quarantine")


@_app.command("list")
def list_events(
    data: Data = None,
    *,
    source: Source = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Only those whose reason has this text in it.")] = "",
    limit: Limit = 100,
    after: Annotated[str, typer.Option(metavar="ID", help="Go on after the event with this id.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the events in quarantine by their place in the log. `--json` prints a line for each, as `replay` reads them.

    Examples:

        onefold quarantine list --source website --reason userId

        onefold quarantine list --limit 1000 --json > bad.jsonl
    """
    rows: list[tuple[str, ...]] = []
    with opening.engines(data) as engines:
        for event in _some(_all(engines, after), source, reason, limit):
            kept = _kept(engines, event)
            if as_json:
                print_json(kept)
            else:
                rows.append((kept.id, kept.at[:19], kept.source, kept.reason, _text(kept)[:_SHOWN_CHARS]))
    if as_json:
        return
    table(("id", "at", "source", "reason", "event"), rows)
    if len(rows) == limit:
        out.print(f"[dim]more may follow: --after {rows[-1][0]}[/]")


@_app.command("show")
def show(
    place: Annotated[str, typer.Argument(metavar="ID", help="The event's id, as `list` shows it.")],
    data: Data = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show one event as it came, with the reason why it was not admitted.

    Examples:

        onefold quarantine show 00-2a0001
    """
    with opening.engines(data) as engines:
        kept = _kept(engines, _find(engines, place))
    if as_json:
        print_json(kept)
        return
    out.print(f"[bold cyan]{kept.id}[/]  from {plain(kept.source) or 'nobody'}, {kept.at}")
    out.print(f"[red]{plain(kept.reason)}[/]")
    text = _text(kept)
    shown = msgspec.json.format(text, indent=2) if kept.event is not NOTHING else text
    for line in shown.split("\n"):
        out.print(plain(line))
    if not text:
        out.print("[dim]the log does not keep it any more[/]")


@_app.command("replay")
def replay(
    places: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Events to send again as they are, by their ids.")
    ] = None,
    data: Data = None,
    *,
    file: Annotated[
        str, typer.Option("--from", "-f", metavar="FILE", help="JSON lines of mended events; `-`: standard input.")
    ] = "",
    source: Annotated[str, typer.Option("--source", "-s", help="The source of lines that do not name theirs.")] = "",
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Where collect is; the platform on this data directory.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Send events again, mended or as they are, through collect of the running platform, and say how each fared.

    Each is received anew, as a new event of its source; the one in quarantine stays there and stays counted. Lines
    are those of `list --json`, with `event` (or `body`, where that is text) mended, or bare events with `--source`.
    An event keeps the time at which it happened, and gets a `messageId` where it had none, so that what is sent
    twice within the dedupe window counts once. Exits with 1 where one was not accepted.

    Examples:

        onefold quarantine list --json | jq -c '.event.userId = .event.customer' | onefold quarantine replay -f -

        onefold quarantine replay --from mended.jsonl --source website

        onefold quarantine replay 00-2a0001 00-2b0000
    """
    if not places and not file:
        raise SettingsError("say which: ids, or --from FILE with mended events")
    chosen = settings(data)
    path, collect = chosen.data, url or _running(chosen)
    fates: list[Fate] = []
    fresh: dict[str, list[Fresh]] = defaultdict(list)
    for one in _wanted(path, places or [], file, source):
        if isinstance(one, Fate):
            fates.append(one)
        else:
            fresh[one.source].append(one)
    with opening.catalog(path) as catalog:
        for name, events in fresh.items():
            fates += _sent(catalog, collect, name, events)
    _report(fates, as_json=as_json)
    if any(fate.outcome != "accepted" for fate in fates):
        raise typer.Exit(exits.PROBLEM)


def _running(chosen: Settings) -> str:
    """Where the platform on this data directory takes events in."""
    platform = supervisor.running(opening.directory(chosen).path)
    if platform is None:
        raise StorageError("the platform is stopped: start `onefold serve`, events are sent through its collect")
    return platform.url


def _wanted(path: Path, places: list[str], file: str, source: str) -> Iterator[Fresh | Fate]:
    now_ms = SystemClock().now_ms()
    if places:
        with opening.engines(path) as engines:
            for place in places:
                kept = _kept(engines, _find(engines, place))
                try:
                    yield made_ready(kept, place, now_ms)
                except InvalidRequest as error:
                    yield Fate(place, kept.source, "refused", str(error))
    if file == "-":
        yield from read_lines(sys.stdin.buffer, source, now_ms)
    elif file:
        with Path(file).open("rb") as lines:
            yield from read_lines(lines, source, now_ms)


def _sent(catalog: Catalog, url: str, source: str, events: list[Fresh]) -> Iterator[Fate]:
    key = next((key for key, name in catalog.write_keys().items() if name == source), None)
    if key is None:
        why = f"there is no source {source!r} that may send; `onefold sources list` shows all"
        return (Fate(one.name, source, "refused", why) for one in events)
    return send(url, key, events)


def _report(fates: list[Fate], *, as_json: bool) -> None:
    if as_json:
        for fate in fates:
            print_json(fate)
        return
    bad = [(fate.name, fate.source, fate.outcome, fate.reason) for fate in fates if fate.outcome != "accepted"]
    if bad:
        table(("event", "source", "outcome", "reason"), bad)
    counts = {name: sum(fate.outcome == name for fate in fates) for name in ("accepted", "rejected", "refused")}
    style = "bold red]✗" if bad else "green]✓"
    out.print(f"[{style}[/] " + ", ".join(f"{n:,} {name}" for name, n in counts.items()))


def _all(engines: Engines, after: str) -> Iterator[Quarantined]:
    place = place_of(after) if after else (0, -1)
    while page := engines.state.quarantined(place, PAGE_MAX):
        yield from page
        place = (page[-1].partition, page[-1].position)


def _some(events: Iterable[Quarantined], source: str, reason: str, limit: int) -> Iterator[Quarantined]:
    for event in events:
        if limit <= 0:
            return
        if source in ("", event.source) and reason.lower() in event.reason.lower():
            limit -= 1
            yield event


def _find(engines: Engines, text: str) -> Quarantined:
    partition, position = place_of(text)
    for event in engines.state.quarantined((partition, position - 1), 1):
        if (event.partition, event.position) == (partition, position):
            return event
    raise NotFoundError(f"there is no event {text!r} in quarantine")


def _kept(engines: Engines, event: Quarantined) -> Kept:
    found = answer(engines, event)
    try:
        members = msgspec.json.decode(found.body, type=dict[str, Raw])
    except (msgspec.MsgspecError, RecursionError):
        return Kept(found.id, found.source, found.at, found.reason, body=found.body)
    return Kept(found.id, found.source, found.at, found.reason, event=Raw(msgspec.json.encode(members)))


def _text(kept: Kept) -> str:
    return bytes(kept.event).decode() if kept.event is not NOTHING else kept.body
