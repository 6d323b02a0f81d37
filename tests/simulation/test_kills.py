"""A hundred `kill -9` at random moments, under load, over real processes: no acknowledged event lost, no wrong state.

`make test` kills a few times, `make test-services` a hundred. `ONEFOLD_KILLS`, `ONEFOLD_WORKERS` and `ONEFOLD_SEED`
choose how often, with how many workers, and which plan; without a seed each run has a new one, and prints it.
"""

import asyncio
import copy
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import NamedTuple

import pytest

from tests.e2e.evidence import Evidence
from tests.e2e.figures import figures
from tests.e2e.ordeal import VICTIMS, Ordeal, Plan
from tests.e2e.reckoning import Remains, check, look

FEW = len(VICTIMS)
MANY = 100

pytestmark = pytest.mark.timeout(1800)


class Lived(NamedTuple):
    """What is left of an ordeal in which all that was promised held."""

    evidence: Evidence
    remains: Remains
    figures: str


def plan(kills: int) -> Plan:
    """What the environment wants; else so many kills, two workers and any seed."""
    wanted = os.environ.get
    return Plan(
        seed=int(wanted("ONEFOLD_SEED") or SystemRandom().randrange(1_000_000)),
        kills=int(wanted("ONEFOLD_KILLS") or kills),
        workers=int(wanted("ONEFOLD_WORKERS") or 2),
    )


def lived(plan: Plan, place: Path) -> Lived:
    """Live through a plan and hold what is left against what was promised; a failure says how to run it again."""
    wanted = f"ONEFOLD_SEED={plan.seed} ONEFOLD_KILLS={plan.kills} ONEFOLD_WORKERS={plan.workers}"
    again = f"again: {wanted} make test ARGS=tests/simulation/test_kills.py"
    say(again)
    ordeal = Ordeal(plan, place)
    began_s = time.monotonic()
    try:
        evidence = asyncio.run(ordeal.run())
        remains = look(evidence)
    except Exception as error:
        where = f"the data is in {ordeal.evidence.settings.data}"
        error.add_note("\n".join([*ordeal.evidence.stderr[-60:], where, again]))
        raise
    problems = check(evidence, remains)
    assert not problems, "\n".join([*problems, f"the data is in {evidence.settings.data}", again])
    return Lived(evidence, remains, figures(evidence, time.monotonic() - began_s))


def say(text: str) -> None:
    """On a line of its own; pytest shows it where a test fails, or is run with `-s`."""
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """What a few kills leave, or as many as the environment wants."""
    return lived(plan(FEW), tmp_path_factory.mktemp("kills"))


def test_kills_lose_nothing(few: Lived, record_property: Callable[[str, object], None]) -> None:
    """Whoever is killed, and when: nothing acknowledged is lost, nothing counts twice, and all of it is delivered."""
    assert few.evidence.tally.acknowledged
    assert few.evidence.hooks
    if len(few.evidence.kills) > FEW:
        record_property("figures", few.figures)


@pytest.mark.services
def test_a_hundred_kills_lose_nothing(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """The same, a hundred times."""
    record_property("figures", lived(plan(MANY), tmp_path).figures)


# --- the checks can fail -------------------------------------------------------------------------------------
def _lose_an_event(lived: Lived) -> None:
    name = next(iter(lived.remains.fact.messages))
    del lived.remains.fact.sent[name], lived.remains.fact.messages[name]


def _change_an_event(lived: Lived) -> None:
    next(iter(lived.remains.fact.messages.values()))["userId"] = "somebody else"


def _count_one_twice(lived: Lived) -> None:
    lived.remains.counts["admitted"] += 1


def _forget_a_person(lived: Lived) -> None:
    lived.remains.profiles.pop()


def _fold_an_event_twice(lived: Lived) -> None:
    lived.remains.profiles[-1].events += 1


def _fold_an_order_twice(lived: Lived) -> None:
    lived.remains.profiles[-1].computed["orders"] += 1


def _forget_an_audience(lived: Lived) -> None:
    del lived.remains.profiles[-1].audiences["silent"]


def _lose_a_delivery(lived: Lived) -> None:
    lost = lived.remains.effects[-1].key
    lived.evidence.hooks[:] = [hook for hook in lived.evidence.hooks if hook.key != lost]


def _swap_deliveries(lived: Lived) -> None:
    last = lived.remains.effects[-1]
    hooks = lived.evidence.hooks
    moved = [hook for hook in hooks if hook.key == last.key]
    hooks[:] = [*moved, *(hook for hook in hooks if hook.key != last.key)]


def _deliver_under_another_key(lived: Lived) -> None:
    lived.evidence.hooks[0].key += "0"


def _change_a_delivery(lived: Lived) -> None:
    again = copy.deepcopy(lived.evidence.hooks[0])
    again.payload["timestamp"] = "1999-12-31T23:59:59.999Z"
    lived.evidence.hooks.append(again)


def _deliver_off_the_books(lived: Lived) -> None:
    lived.remains.books["delivered"] -= 1


def _replay_differently(lived: Lived) -> None:
    lived.evidence.replay["same_people"] = False


def _stop_badly(lived: Lived) -> None:
    lived.evidence.stop_code = 1


def _complain(lived: Lived) -> None:
    lived.evidence.doctor[0]["verdict"] = "warn"


@pytest.mark.parametrize(
    "spoil",
    [
        _lose_an_event, _change_an_event, _count_one_twice, _forget_a_person, _fold_an_event_twice,
        _fold_an_order_twice, _forget_an_audience, _lose_a_delivery, _swap_deliveries, _deliver_under_another_key,
        _change_a_delivery, _deliver_off_the_books, _replay_differently, _stop_badly, _complain,
    ],
    ids=lambda spoil: spoil.__name__.strip("_"),
)  # fmt: skip
def test_the_checks_see_what_is_wrong(few: Lived, spoil: Callable[[Lived], None]) -> None:
    """Each thing that might have gone wrong is noticed."""
    spoiled = copy.deepcopy(few)
    spoil(spoiled)
    assert check(spoiled.evidence, spoiled.remains)
