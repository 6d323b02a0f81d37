"""`onefold identity review` and `learn`: who is one person though no identifier says so."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from onefold.cli import opening
from onefold.cli.options import AsJson, Data, Limit, settings
from onefold.cli.printing import instant, many, out, plain, print_json, table
from onefold.clock import SystemClock
from onefold.errors import InvalidRequest, NotFoundError
from onefold.matching import weights as models
from onefold.matching.comparing import COMPARISONS
from onefold.matching.index import Thresholds, match_everybody
from onefold.matching.learning import learn
from onefold.matching.record import Record
from onefold.matching.weights import SAME, STRANGER, Scorer
from onefold.model.position import parse, show
from onefold.model.proposal import JUDGEMENTS, Judgement, KeptProposal, Proposal
from onefold.ports import Proposals, State
from onefold.runtime.identity import splinked
from onefold.runtime.identity.matching import LEARN_FROM, LEARN_MAX, in_force, people
from onefold.runtime.identity.reviewing import Verdict, decide, reviewed, scorer_of
from onefold.server.identity.household import households

_review = typer.Typer(help="Proposed links: list, accept, refuse.", no_args_is_help=True)

First = Annotated[str, typer.Argument(metavar="PROFILE", help="One of the two, as `list` shows it: prf_….")]
Second = Annotated[str, typer.Argument(metavar="PROFILE", help="The other.")]


class Opened(NamedTuple):
    """What these commands work with."""

    proposals: Proposals
    state: State
    partitions: int


def add_to(app: typer.Typer) -> None:
    """Add the commands to `onefold identity`."""
    app.add_typer(_review, name="review")
    app.command("learn")(relearn)
    app.command("households")(count_households)
    app.command("match")(match_all)


@_review.command("list")
def list_proposals(
    data: Data = None,
    *,
    standing: Annotated[
        str, typer.Option(help="Those that stand so: asked, sure, linked, accepted or refused.")
    ] = "asked",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List pairs of profiles that may be one person, the surest first, with what speaks for and against it.

    `asked` waits for somebody; `sure` is above the threshold of linking. A number behind a reason is log2 of how much
    oftener one person's profiles are alike in this way than strangers' are.

    Examples:

        onefold identity review list

        onefold identity review list --standing refused --json
    """
    wanted = _judgement(standing)
    with _opened(data) as opened:
        scorer = scorer_of(opened.proposals)
        found = [_shown(opened.state, scorer, each) for each in opened.proposals.page(wanted, None, limit)]
        counts = opened.proposals.counts()
    if as_json:
        for each in found:
            print_json(each)
        return
    for each in found:
        out.print(f"[bold cyan]{each['a']}[/] and [bold cyan]{each['b']}[/]  {each['score']:.3f}  {plain(each['why'])}")
        for side in ("a", "b"):
            out.print(f"  {plain(each[f'record_{side}'])}")
    out.print(
        "[dim]" + (", ".join(f"{n:,} {name}" for name, n in sorted(counts.items())) or "nothing is proposed") + "[/]"
    )


@_review.command("accept")
def accept(a: First, b: Second, data: Data = None, *, as_json: AsJson = False) -> None:
    """Say that two profiles are one person: they merge, by an entry of the log, as by `onefold identity link`.

    Examples:

        onefold identity review accept prf_0000000000010001 prf_0000000000020001
    """
    _decide(data, a, b, "accepted", as_json=as_json)


@_review.command("refuse")
def refuse(a: First, b: Second, data: Data = None, *, as_json: AsJson = False) -> None:
    """Say that two profiles are two people: they are not proposed again, and nothing that events show joins them.

    Examples:

        onefold identity review refuse prf_0000000000010001 prf_0000000000020001
    """
    _decide(data, a, b, "refused", as_json=as_json)


def count_households(data: Data = None, *, as_json: AsJson = False) -> None:
    """Count the households that matching knows, by size; `onefold profile show` names who is in one.

    Examples:

        onefold identity households
    """
    with _opened(data) as opened:
        found = households(opened.proposals)
    if as_json:
        print_json(found)
        return
    table(("profiles", "households"), [(each.profiles, each.households) for each in found.sizes], "no households")
    out.print(f"[dim]{many(found.profiles, 'profile')} in {many(found.households, 'household')}[/]")


def match_all(
    data: Data = None,
    *,
    engine: Annotated[str, typer.Option(help="What scores: own, as the match role does; or splink, an extra.")] = "own",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Propose nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare everybody with everybody at once, and propose links, beside a match role or without one.

    Proposals go to the queue of `onefold identity review`; what somebody has decided stays. Splink learns by itself of
    these people; it knows no households, and takes memory and minutes for many.

    Examples:

        onefold identity match

        onefold identity match --engine splink --dry-run
    """
    if engine not in ENGINES:
        raise InvalidRequest(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
    with _opened(data) as opened:
        chosen = settings(data)
        said = opened.state.rules(opened.state.cursor(0).rules).identity.matching
        thresholds = in_force(said, Thresholds(chosen.matching_link, chosen.matching_review))
        records = {one: record for one, record in people(opened.state, opened.partitions) if record.tells()}
        found = ENGINES[engine](records, opened.proposals, thresholds)
        if not dry_run:
            opened.proposals.put(found, (), opened.proposals.cursor())
    asked = sum(each.ask for each in found)
    if as_json:
        print_json({"engine": engine, "records": len(records), "sure": len(found) - asked, "asked": asked})
        return
    out.print(
        f"{many(len(records), 'profile')} compared by {engine}: {len(found) - asked:,} sure, {asked:,} to be asked"
    )


def _by_own(records: dict[int, Record], proposals: Proposals, thresholds: Thresholds) -> list[Proposal]:
    return match_everybody(records, scorer_of(proposals), thresholds)


def _by_splink(records: dict[int, Record], _: Proposals, thresholds: Thresholds) -> list[Proposal]:
    return splinked.match(records, thresholds).proposals


ENGINES: dict[str, Callable[[dict[int, Record], Proposals, Thresholds], list[Proposal]]] = {
    "own": _by_own,
    "splink": _by_splink,
}


def relearn(data: Data = None, *, as_json: AsJson = False) -> None:
    """Learn anew, from the profiles as they are, what being alike is worth; shows the weights. Takes minutes for many.

    The match role takes the new weights when it starts next.

    Examples:

        onefold identity learn
    """
    with _opened(data) as opened:
        records = [record for _, record in people(opened.state, opened.partitions) if record.tells()][:LEARN_MAX]
        if len(records) < LEARN_FROM:
            raise InvalidRequest(
                f"{len(records):,} profiles have something to compare by; {LEARN_FROM:,} are needed to learn from"
            )
        found = learn(records)
        opened.proposals.keep_weights(models.encode(found))
    if as_json:
        print_json(found)
        return
    rows = [
        (each.name, level, f"{worth[SAME]:.4f}", f"{worth[STRANGER]:.6f}")
        for each in COMPARISONS
        for level, worth in list(zip(each.levels, found.levels[each.name], strict=True))[1:]
    ]
    table(("comparison", "level", "of one person", "of strangers"), rows)
    out.print(f"[dim]learnt of {found.records:,} records[/]")


def _decide(data: Path | None, a: str, b: str, judgement: Judgement, *, as_json: bool) -> None:
    clock = SystemClock()
    verdict = Verdict(_number(a), _number(b), judgement, getpass.getuser())
    with _opened(data) as opened, closing(opening.place(settings(data)).log_writer(clock)) as writer:
        decided, _ = decide(opened.proposals, opened.state, writer, clock, verdict)
    if as_json:
        print_json(decided)
    else:
        out.print(f"[green]✓[/] {judgement}: {show(decided.a)} and {show(decided.b)}, {instant(decided.at_ms)}")


@contextmanager
def _opened(data: Path | None) -> Iterator[Opened]:
    place = opening.place(settings(data))
    with closing(place.log_reader()) as reader:
        partitions = reader.partitions
    with closing(place.proposals()) as proposals, closing(place.state(readonly=True)) as state:
        yield Opened(proposals, state, partitions)


def _shown(state: State, scorer: Scorer, proposal: KeptProposal) -> dict[str, Any]:
    review = reviewed(state, scorer, proposal)
    return {
        "a": show(proposal.a), "b": show(proposal.b), "score": proposal.score, "household": proposal.household,
        "standing": proposal.standing, "by": proposal.by, "at_ms": proposal.at_ms, "apart": review.apart,
        "why": ", ".join(f"{each.comparison} {each.level} {each.bits:+.1f}" for each in review.why),
        "record_a": _line(review.a), "record_b": _line(review.b),
    }  # fmt: skip


def _line(record: Record) -> str:
    parts = (
        f"{record.given} {record.family}".strip(), record.born, record.street, record.postcode, record.place,
        *record.phones, *record.emails, *record.accounts,
    )  # fmt: skip
    return " · ".join(part for part in parts if part)


def _judgement(text: str) -> Judgement:
    found: dict[str, Judgement] = {each: each for each in JUDGEMENTS}
    if text not in found:
        raise InvalidRequest(f"nothing stands {text!r}; there are {', '.join(JUDGEMENTS)}")
    return found[text]


def _number(text: str) -> int:
    found = parse(text)
    if found is None:
        raise NotFoundError(f"{text!r} is no profile; `onefold identity review list` shows them as prf_…")
    return found
