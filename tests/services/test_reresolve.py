"""Other rules of identity over the past, tried and applied by command, on both engines: while a platform goes on."""

import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.services.story import Site
from tests.services.test_definitions import clustered, embedded

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]
WITHIN_S = 60.0
PEOPLE = 24
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


def told(site: Site, path: Path) -> dict[str, Any]:
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
    site.run("identity", "reresolve", "--yes")
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


def eventually(look: Any) -> None:
    """Wait until it is so."""
    until_s = time.monotonic() + WITHIN_S
    while not look():
        assert time.monotonic() < until_s
        time.sleep(0.1)


def test_both_engines_make_the_same_people(tmp_path: Path) -> None:
    """What is predicted comes about, events go on arriving, and who people are is the same on both engines."""
    with embedded(tmp_path) as site:
        one = told(site, tmp_path / "embedded")
    with clustered() as site:
        other = told(site, tmp_path / "clustered")
    assert one["now"] < one["then"]
    assert one == other
