"""What one sees of the demo: a live screen on a terminal, readable lines anywhere else."""

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from onefold.demo.measures import Audience, Chapter, Incident, Latencies, Measures

_BAR = 16
_RECENT_S = 1.5
_AUDIENCES_SHOWN = 12
_CHAPTERS_SHOWN = 8
_INCIDENTS_SHOWN = 6


def fitting(measures: Measures, url: str, hint: str, console: Console) -> RenderableType:
    """The picture with as much of the story, and then of the audiences, as the terminal has lines for."""
    sizes = [(chapters, _AUDIENCES_SHOWN) for chapters in range(_CHAPTERS_SHOWN, 1, -1)]
    sizes += [(1, audiences) for audiences in range(8, -1, -2)]
    sizes += [(0, 0)]
    for chapters, audiences in sizes:
        picture = screen(measures, url, hint, chapters, audiences)
        if len(console.render_lines(picture, pad=False)) < console.height:
            break
    return picture


def screen(
    measures: Measures, url: str, hint: str, chapters: int = _CHAPTERS_SHOWN, audiences: int = _AUDIENCES_SHOWN
) -> RenderableType:
    """The whole picture, as of now."""
    panels = [_traffic(measures), _latency(measures), *([_audiences(measures, audiences)] if audiences else [])]
    top = Columns(panels, padding=(0, 1))
    seconds = f"{measures.elapsed_s():.0f} s"
    title = f"[bold]Onefold[/]   [cyan]{url}[/]   {seconds}"
    trouble = [Text(measures.trouble, style="bold red")] if measures.trouble else []
    story = [_story(measures, chapters)] if chapters else []
    incidents = [_incidents(measures)] if measures.incidents else []
    return Group(
        Text.from_markup(title), Text(), top, *incidents, *story, *trouble, Text.from_markup(f"[dim]{hint}[/]")
    )


def line(measures: Measures) -> str:
    """The numbers as one line."""
    folded = measures.folded
    return (
        f"{measures.elapsed_s():5.0f} s  {measures.sent:,} sent = {folded['admitted']:,} admitted"
        f" + {folded['duplicate']:,} duplicate + {measures.quarantined.total():,} quarantined"
        + (f", {measures.resent:,} sent again" if measures.resent else "")
        + f" | {measures.profiles:,} profiles, {measures.merges:,} merges"
        f" | visible {_percentiles(measures.visible)}"
        f" | {measures.received:,} webhooks"
    )


def chapter_line(name: str, chapter: Chapter) -> str:
    """One step of the story as one line."""
    became = "; ".join(chapter.became) or "nothing changes"
    return f"{chapter.at_s:5.0f} s  {name} ({chapter.where}) {chapter.did}: {became} ({chapter.took_ms:.0f} ms)"


def incident_line(incident: Incident) -> str:
    """Something that was done to the platform, as one line."""
    return f"{incident.at_s:5.0f} s  {'✓' if incident.over else '✗'} {incident.text}"


def report(measures: Measures, console: Console) -> None:
    """The summary at the end."""
    folded = measures.folded
    closes = measures.account_closes()
    reasons = ", ".join(f"{escape(reason)} {n}" for reason, n in measures.quarantined.most_common())
    account = (
        f"{measures.sent:,} events sent = {folded['admitted']:,} admitted + {folded['duplicate']:,} duplicate"
        f" + {measures.quarantined.total():,} quarantined" + (f" [dim]({reasons})[/]" if reasons else "")
    )
    if measures.resent:
        account += f"\nmeanwhile requests with {measures.resent:,} events were refused or not answered, and sent again"
    rows = [
        ("account", account),
        (
            "people",
            f"{measures.profiles:,} profiles after {measures.merges:,} merges; {measures.refused_links:,} refused",
        ),
        ("audiences", _moves(measures)),
        (
            "webhooks",
            (
                f"{measures.delivered:,} delivered, {measures.received:,} received and verified, "
                f"{measures.pending:,} pending, {measures.parked:,} parked"
            ),
        ),
        ("acknowledged", _percentiles(measures.acknowledged) + " [dim](sent to 2xx, on disk)[/]"),
        ("visible", _percentiles(measures.visible) + " [dim](sent to seen in the profile API)[/]"),
        ("webhook", _percentiles(measures.webhook) + " [dim](sent to received by the webhook)[/]"),
    ]
    body = Table.grid(padding=(0, 2))
    for name, value in rows:
        body.add_row(f"[dim]{name}[/]", value)
    verdict = (
        "[green]✓ the account closes: nothing vanished[/]" if closes else "[bold red]✗ the account does not close[/]"
    )
    if measures.trouble:
        verdict += f"\n[bold red]{escape(measures.trouble)}[/]"
    colour = "green" if closes else "red"
    console.print(Panel.fit(Group(body, Text(), Text.from_markup(verdict)), title="summary", border_style=colour))


def _traffic(measures: Measures) -> Panel:
    folded = measures.folded
    rows = [
        ("events/s", f"[bold]{measures.rate.per_s():,.0f}[/]"),
        ("sent", f"{measures.sent:,}"),
        *([("sent again", f"[yellow]{measures.resent:,}[/]")] if measures.resent else []),
        ("admitted", f"[green]{folded['admitted']:,}[/]"),
        ("duplicate", f"{folded['duplicate']:,}"),
        ("quarantined", f"[yellow]{measures.quarantined.total():,}[/]"),
        ("", ""),
        ("profiles", f"[bold]{measures.profiles:,}[/]"),
        ("merges", f"[magenta]{measures.merges:,}[/]"),
        ("refused", f"{measures.refused_links:,}"),
    ]
    return _panel("events and people", rows, 28)


def _latency(measures: Measures) -> Panel:
    rows = []
    kinds = {"on disk": measures.acknowledged, "visible": measures.visible, "webhook": measures.webhook}
    for name, latencies in kinds.items():
        rows += [(f"{name}  p50", _ms(latencies, 0.5)), ("p99", _ms(latencies, 0.99))]
    rows += [
        ("", ""),
        ("delivered", f"[green]{measures.delivered:,}[/]"),
        ("verified", f"{measures.received:,}"),
        ("waiting", f"{measures.pending:,}"),
    ]
    rows += [("parked", f"[red]{measures.parked:,}[/]")] if measures.parked else []
    return _panel("latency and deliveries", rows, 30)


def _audiences(measures: Measures, many: int) -> Panel:
    shown = sorted(measures.audiences.items(), key=lambda item: (-item[1].size, item[0]))[:many]
    largest = max([one.size for _, one in shown], default=1) or 1
    body = Table.grid(padding=(0, 1))
    for name, one in shown:
        bar = "█" * round(_BAR * one.size / largest)
        recent = measures.elapsed_s() - one.changed_at_s < _RECENT_S and one.changed_at_s > 0
        style = "bold" if recent else ""
        body.add_row(Text(name, style=style), Text(bar.ljust(_BAR), style="cyan"), f"{one.size:,}", _moved(one))
    return Panel(body, title="audiences", border_style="dim", width=72)


def _incidents(measures: Measures) -> Panel:
    body = Table.grid(padding=(0, 2))
    for incident in measures.incidents[-_INCIDENTS_SHOWN:]:
        style = "green" if incident.over else "bold red"
        mark = "✓" if incident.over else "✗"
        body.add_row(f"[dim]{incident.at_s:3.0f} s[/]", f"[{style}]{mark} {escape(incident.text)}[/]")
    return Panel(body, title="what is done to it", border_style="dim")


def _story(measures: Measures, many: int) -> Panel:
    body = Table.grid(padding=(0, 2))
    for chapter in measures.story[-many:]:
        became = "; ".join(_coloured(one) for one in chapter.became) or "[dim]nothing changes[/]"
        body.add_row(
            f"[dim]{chapter.at_s:3.0f} s[/]", f"[dim]{chapter.where}[/]", escape(chapter.did), became,
            f"[dim]{chapter.took_ms:.0f} ms[/]",
        )  # fmt: skip
    return Panel(body, title=f"one person: {measures.heroine}", border_style="dim")


def _coloured(became: str) -> str:
    for start, style in (
        ("enters", "green"),
        ("leaves", "yellow"),
        ("two profiles", "bold magenta"),
        ("a new", "cyan"),
    ):
        if became.startswith(start):
            return f"[{style}]{escape(became)}[/]"
    return escape(became)


def _moves(measures: Measures) -> str:
    entered = sum(one.entered for one in measures.audiences.values())
    left = sum(one.left for one in measures.audiences.values())
    by_time = sum(one.left_by_time for one in measures.audiences.values())
    return f"{len(measures.audiences)}, entered {entered:,} times, left {left:,} times ({by_time:,} by time alone)"


def _moved(one: Audience) -> str:
    by_time = f" [dim]({one.left_by_time:,} by time)[/]" if one.left_by_time else ""
    return f"[green]+{one.entered:,}[/] [yellow]-{one.left:,}[/]{by_time}"


def _ms(latencies: Latencies, share: float) -> str:
    return f"{latencies.percentile_ms(share):.1f} ms" if len(latencies) else "[dim]…[/]"


def _percentiles(latencies: Latencies) -> str:
    if not len(latencies):
        return "not yet"
    return "  ".join(f"p{share * 100:.0f} {latencies.percentile_ms(share):.1f} ms" for share in (0.5, 0.95, 0.99))


def _panel(title: str, rows: list[tuple[str, str]], width: int) -> Panel:
    body = Table.grid(padding=(0, 1), expand=True)
    body.add_column()
    body.add_column(justify="right")
    for name, value in rows:
        body.add_row(name, value)
    return Panel(body, title=title, border_style="dim", width=width)
