"""`onefold preview`: what applying a workspace directory would do to people."""

from contextlib import closing
from typing import Annotated

import typer

from onefold.cli import opening
from onefold.cli.check import Workspace
from onefold.cli.options import AsJson, Data, settings
from onefold.cli.printing import err, instant, many, out, plain, print_json, spelt, table
from onefold.clock import SystemClock
from onefold.limits import PREVIEW_DAYS_MAX, PREVIEW_SAMPLES_MAX
from onefold.runtime.defining.workspace import load_workspace
from onefold.runtime.previewing.days import Movement
from onefold.runtime.previewing.preview import AudiencePreview, Preview, Question, preview
from onefold.runtime.previewing.samples import Person
from onefold.storage.history.asking import Means

_BARS = " ▁▂▃▄▅▆▇█"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("preview")(show)


def show(
    workspace: Workspace,
    audience: Annotated[
        str, typer.Argument(help="Only this audience; default: all that would mean something else.")
    ] = "",
    data: Data = None,
    *,
    days: Annotated[int, typer.Option(min=0, max=PREVIEW_DAYS_MAX, help="How many days to look back.")] = 30,
    samples: Annotated[int, typer.Option(min=0, max=PREVIEW_SAMPLES_MAX, help="How many people to show.")] = 5,
    memory: Annotated[str, typer.Option(help="What it may use; beyond, it goes on on the disk.")] = "2GB",
    threads: Annotated[int, typer.Option(min=1, help="Processors that it may use.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Show what applying a workspace directory would do: who would match, enter and leave, and what hangs on it.

    It is computed over history, changes nothing, and takes seconds. Ctrl-C ends it.

    Examples:

        onefold preview examples/retail

        onefold preview examples/retail win_back --days 90 --json
    """
    wanted = load_workspace(workspace)
    place = opening.place(settings(data))
    with closing(place.catalog()) as catalog:
        in_force = catalog.definitions()
    question = Question(in_force, wanted, SystemClock().now_ms(), audience, days, samples)
    with closing(place.history_reader()) as history, err.status("opening history") as status:
        means = Means(memory=memory, threads=threads, timeout_s=_PATIENCE_S)
        found = preview(history, question, means, lambda what, done, of: status.update(f"{what} ({done}/{of})"))
    if as_json:
        print_json(found)
    else:
        _show(found)


_PATIENCE_S = 3_600.0


def _show(found: Preview) -> None:
    out.print(
        f"[dim]as of {instant(found.as_of_ms)}; {many(found.people, 'person', 'people')}, "
        f"{many(found.events, 'event')} mentioned[/]"
    )
    for one in found.audiences:
        _show_audience(one, found.people)
    for name, why in found.left_out.items():
        out.print(f"[yellow]![/] {plain(name)} is left out: {plain(why)}")
    if not found.audiences and not found.left_out:
        out.print("no audience would mean anything else")


def _show_audience(one: AudiencePreview, everyone: int) -> None:
    share = f" ({one.people / everyone:.1%})" if everyone else ""
    before = "" if one.before is None else f", now {one.before:,}"
    out.print(f"\n[bold]{plain(one.name)}[/] [dim]{one.change}[/]  {plain(' '.join(one.expression.split()))}")
    matching = "person matches" if one.people == 1 else "people match"
    out.print(f"  [bold cyan]{one.people:,}[/] {matching}{share}{before}")
    if one.before is not None:
        out.print(f"  [green]+{one.enters.people:,}[/] enter, [red]-{one.leaves.people:,}[/] leave")
    if one.movement.days:
        out.print(f"  {_days(one.movement)}")
    for title, people in (("some of them", one.samples), ("enter", one.enters.samples), ("leave", one.leaves.samples)):
        if people and (title == "some of them" or one.before is not None):
            _people(title, people)
    if one.overlaps:
        table(("  also in", "people"), [("  " + each.audience, each.people) for each in one.overlaps])
    for title, names in (("traits", one.traits), ("destinations", one.destinations)):
        if names:
            out.print(f"  {title}: {plain(', '.join(names))}")


def _days(movement: Movement) -> str:
    """The days behind as a row of bars, from nothing to the most."""
    counts = [day.people for day in movement.days]
    most = max(counts) or 1
    bars = "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in counts)
    about = "" if movement.share == 1 else f", of 1 in {round(1 / movement.share):,} people"
    return f"[cyan]{bars}[/] {counts[0]:,} → {counts[-1]:,} in {len(counts) - 1} days{about}"


def _people(title: str, people: list[Person]) -> None:
    out.print(f"  {title}:")
    for person in people:
        traits = ", ".join(f"{name} = {spelt(value)}" for name, value in person.traits.items())
        out.print(f"    {person.id}  [dim]{plain(traits)}[/]")
