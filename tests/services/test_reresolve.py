"""Other rules of identity over the past, tried and applied by command, on both engines: while a platform goes on."""

import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.services.killing import command, die_before_it_is_folded, eventually, workers
from tests.services.story import Site
from tests.services.test_definitions import clustered, embedded

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]
PEOPLE = 24
RERESOLVE = ("identity", "reresolve", "--yes")
FIRST = 'audiences: {buyers: count("Order Completed") > 0}\n'
SECOND = FIRST + "identity: {types: {email: {unique: true}, anonymous_id: {soft: true}}, blocked: [counter]}\n"


def lives(seed: int, start: int) -> list[dict[str, Any]]:
    """People, two to a household, who share a tablet; many are at the shop's counter."""
    chance = Random(seed)
    happened: list[dict[str, Any]] = []
    for n in range(PEOPLE * 4):
        person = n % PEOPLE
        device = chance.choice((f"tablet{person // 2}", f"phone{person}", f"phone{person}", "counter"))
        event: dict[str, Any] = {"messageId": f"{seed}-{n}", "anonymousId": device}
        if n < PEOPLE or device == "counter" or chance.random() < 0.5:
            event |= {"type": "identify", "traits": {"email": f"p{person}@example.com", "n": start + n}}
        else:
            event |= {"type": "track", "event": "Order Completed"}
        happened.append(event)
    return happened


def reresolved(site: Site) -> None:
    """Bring the past under the rules in force."""
    site.run("identity", "reresolve", "--yes")


def told(site: Site, path: Path, reresolve: Callable[[Site], None] = reresolved) -> dict[str, Any]:
    """What other rules would make of this, and have made."""
    path.mkdir()
    (path / "first.yaml").write_text(FIRST)
    (path / "second.yaml").write_text(SECOND)
    site.run("apply", str(path / "first.yaml"), "--yes")
    site.run("backfill", "wait")  # What comes before the definitions in its partition is not counted.
    site.send(lives(1, 0))
    eventually(lambda: site.run("identity", "what-if", str(path / "second.yaml"))["events"] == PEOPLE * 4)
    before = site.run("identity", "what-if", str(path / "second.yaml"))
    site.run("apply", str(path / "second.yaml"), "--yes")
    sender = threading.Thread(target=lambda: [site.send([event]) for event in lives(2, 1_000)])
    sender.start()
    reresolve(site)
    sender.join()
    eventually(lambda: site.run("identity", "what-if", str(path / "second.yaml"))["events"] == PEOPLE * 8)
    assert site.ask("/v1/identity/reresolve", {})["left"] == {}
    after = site.run("identity", "what-if", str(path / "second.yaml"))
    again = site.run("identity", "reresolve", "--yes")
    counts = site.run("query", "select count(distinct profile) people, count(*) events from events")
    audiences = site.run("audience", "list")
    assert (again["groups"], again["left"], after["same"]) == (0, {}, after["people_then"])
    return {
        "splits": before["splits"]["sizes"],
        "now": before["people_now"],
        "then": before["people_then"],
        "after": after["people_now"],
        "counts": counts,
        "buyers": [(each["name"], each["size"]) for each in audiences],
        "people": [
            sorted(site.run("profile", "show", f"email:p{n}@example.com")["traits"].items()) for n in range(PEOPLE)
        ],
    }


def killed_in_the_middle(site: Site) -> None:
    """The command dies once its entry is written, and so do the workers before they fold it; and then at any moment."""
    chance = Random(5)
    site.run("backfill", "wait")
    die_before_it_is_folded(site, *RERESOLVE)
    for _ in range(4):
        with command(site, *RERESOLVE) as running, suppress(subprocess.TimeoutExpired):
            running.wait(chance.uniform(0.8, 3.0))
        site.roles.kill(chance.choice(workers(site)))
    site.roles.await_ready()
    reresolved(site)


def test_both_engines_make_the_same_people(tmp_path: Path) -> None:
    """What is predicted comes about, events go on arriving, and who people are is the same on both engines."""
    with embedded(tmp_path) as site:
        one = told(site, tmp_path / "embedded")
    with clustered() as site:
        other = told(site, tmp_path / "clustered")
    assert one["now"] < one["then"]
    assert one == other


def test_kills_in_the_middle_lose_nobody(tmp_path: Path) -> None:
    """Whoever is killed, between the writing of an entry and its folding or at any moment: the same people come out."""
    with embedded(tmp_path) as site:
        one = told(site, tmp_path / "embedded", killed_in_the_middle)
    with clustered() as site:
        other = told(site, tmp_path / "clustered", killed_in_the_middle)
    assert one == other
    with embedded(tmp_path / "undisturbed") as site:
        assert told(site, tmp_path / "plain") == one
