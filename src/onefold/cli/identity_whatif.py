"""`onefold identity what-if`: other rules of identity over everything that has happened, before they are applied."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from onefold.cli import opening
from onefold.cli.options import AsJson, Data
from onefold.cli.printing import err, instant, many, out, plain, print_json, table
from onefold.limits import WHAT_IF_SAMPLES_MAX
from onefold.runtime.defining.workspace import load_workspace
from onefold.runtime.identity.past import Sources
from onefold.runtime.identity.suspects import OverMerge
from onefold.runtime.identity.whatif import Case, Difference, Forecast, Part, Question, what_if

Wanted = Annotated[
    Path,
    typer.Argument(metavar="RULES", help="A workspace directory, or a file with an `identity:` section."),
]
_SHOWN = 4
"""Parts of one case that are shown; `--json` has all."""


def add_to(app: typer.Typer) -> None:
    """Add the command to `onefold identity`."""
    app.command("what-if")(show)


def show(
    rules: Wanted,
    data: Data = None,
    *,
    samples: Annotated[int, typer.Option(min=0, max=WHAT_IF_SAMPLES_MAX, help="How many people to show.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show who would be one person had these rules held from the first event on: nothing is changed.

    It goes through all of history and what the log has after it, by the rules that the platform itself would follow.
    Ctrl-C ends it. A platform without history has nothing to go through.

    Examples:

        onefold identity what-if examples/retail

        onefold identity what-if stricter.yaml --samples 20 --json
    """
    wanted = load_workspace(rules).identity
    with opening.engines(data) as engines, closing(engines.place.history_reader()) as history, _bar() as bar:
        in_force = engines.rules()
        task = bar.add_task("going through the past", total=None)
        found = what_if(
            Sources(history, engines.log, engines.state),
            Question(in_force.with_identity(wanted), in_force.identity, engines.clock.now_ms(), samples),
            lambda done, of: bar.update(task, completed=done, total=of),
        )
    if as_json:
        print_json(found)
    else:
        _show(found)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=err
    )


def _show(found: Forecast) -> None:
    out.print(f"[dim]as of {instant(found.as_of_ms)}; policy {found.policy}; {many(found.events, 'event')}[/]")
    change = found.people_then - found.people_now
    out.print(
        f"[bold]{many(found.people_now, 'person', 'people')}[/] now, [bold cyan]{found.people_then:,}[/] then "
        f"({change:+,}); {found.same:,} stay as they are"
    )
    _difference(found.splits, "would split, into", "now")
    _difference(found.merges, "would be made, of", "then")
    if found.other_identifiers:
        out.print(
            f"{many(found.other_identifiers, 'person', 'people')} would keep their events, with other identifiers"
        )
    if found.moved:
        out.print(f"identifiers would have changed hands {many(found.moved, 'time')}")
    if found.refused:
        out.print()
        table(("links refused by", "links"), list(found.refused.items()))
    if found.hot:
        out.print()
        rows = [(each.identifier, each.others) for each in found.hot]
        table((f"hot values ({found.hot_in_all:,})", "others"), rows)
    _estimate(found)
    _caveats(found)


def _difference(found: Difference, what: str, tense: str) -> None:
    if not found.people:
        return
    word = "into" if tense == "now" else "of"
    shapes = ", ".join(f"{people:,} {word} {size}" for size, people in found.sizes.items())
    subject = "person of " + tense if found.people == 1 else "people of " + tense
    out.print(f"\n[bold]{found.people:,}[/] {subject} {what} {found.parts:,} [dim]({shapes})[/]")
    for case in found.samples:
        _case(case)


def _case(case: Case) -> None:
    whole, parts, arrow = (case.now[0], case.then, "→") if len(case.now) == 1 else (case.then[0], case.now, "←")
    out.print(f"  {_part(whole)}")
    for part in parts[:_SHOWN]:
        out.print(f"    {arrow} {_part(part)}")
    if len(parts) > _SHOWN:
        out.print(f"    {arrow} [dim]and {len(parts) - _SHOWN:,} more[/]")
    for reason in case.why:
        word = "refused" if reason.refused else "linked"
        out.print(f"    [dim]{word}: {plain(reason.a)} and {plain(reason.b)} ({plain(reason.rule)})[/]")


def _part(part: Part) -> str:
    names = ", ".join(plain(each) for each in part.identifiers[:_SHOWN])
    more = f", … ({part.identifiers_in_all:,})" if part.identifiers_in_all > _SHOWN else ""
    return f"{part.profile}  {many(part.events, 'event')}  [dim]{names}{more}[/]"


def _estimate(found: Forecast) -> None:
    now, then = found.over_merge.now, found.over_merge.then
    out.print("\nprobably several people (an estimate):")
    reasons = [reason for reason in found.over_merge.meaning if reason in {*now.reasons, *then.reasons}]
    rows = [("profiles", now.people, then.people), ("their events", now.events, then.events)]
    rows += [(found.over_merge.meaning[each], now.reasons.get(each, 0), then.reasons.get(each, 0)) for each in reasons]
    table(("", "now", "then"), rows)
    out.print(f"[dim]{_share(now, found)} of all events now, {_share(then, found)} then[/]")


def _share(of: OverMerge, found: Forecast) -> str:
    return f"{of.events / found.events:.2%}" if found.events else "none"


def _caveats(found: Forecast) -> None:
    if found.of_nobody:
        out.print(f"[yellow]![/] {many(found.of_nobody, 'event')} would be nobody's: nothing identifies anybody")
    if found.without_past:
        people = many(found.without_past, "person", "people")
        out.print(f"[yellow]![/] of {people} some events are no longer kept: they would stay as they are")
    if found.words_forgotten:
        out.print("[yellow]![/] what people have said (`onefold identity never`) before the log begins is not counted")
