"""An undo whose command and whose workers die between two steps, on both engines; and events that come late."""

from pathlib import Path
from typing import Any

import pytest

from tests.services.killing import die_before_it_is_folded, eventually, workers
from tests.services.story import Site
from tests.services.test_definitions import clustered, embedded

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]
ANN, TABLET = "user_id:ann", "anonymous_id:tablet"
UNMERGE = ("identity", "unmerge", ANN, TABLET)
WORKSPACE = """
traits: {orders: count("Order Completed")}
audiences: {buyers: orders > 0, regulars: orders > 1}
"""
LIVED: list[dict[str, Any]] = [
    {"type": "track", "event": "Order Completed", "anonymousId": "tablet", "messageId": "1"},
    {"type": "identify", "userId": "ann", "traits": {"email": "ann@example.com"}, "messageId": "2"},
    {"type": "track", "event": "Order Completed", "userId": "ann", "messageId": "3"},
    {"type": "page", "userId": "ann", "anonymousId": "tablet", "messageId": "4"},
]
LATE: list[dict[str, Any]] = [
    {"type": "page", "userId": "ann", "anonymousId": "tablet", "messageId": "5", "timestamp": "2020-01-01T00:00:00Z"},
    {"type": "track", "event": "Order Completed", "anonymousId": "tablet", "messageId": "6"},
    LIVED[3],
]


def told(site: Site, path: Path) -> dict[str, Any]:
    """Ann and the tablet, taken apart by a command that dies, and events of before that come after it."""
    path.mkdir()
    (path / "shop.yaml").write_text(WORKSPACE)
    site.run("apply", str(path / "shop.yaml"), "--yes")
    site.run("backfill", "wait")
    for event in LIVED:
        site.send([event])
    eventually(lambda: known(site) == len(LIVED))
    die_before_it_is_folded(site, *UNMERGE)
    eventually(lambda: person(site, ANN)["id"] != person(site, TABLET)["id"])
    with pytest.raises(AssertionError, match="are not one person: there is nothing to undo"):
        site.run(*UNMERGE)
    for worker in workers(site):
        site.roles.kill(worker)
    site.send(LATE)
    eventually(lambda: known(site) == len(LIVED) + 2)
    return {
        "people": [_known_of(person(site, who)) for who in (ANN, TABLET)],
        "sizes": {each["name"]: each["size"] for each in site.run("audience", "list")},
        "events": site.run("query", "select count(distinct profile) people, count(*) events from events"),
    }


def _known_of(shown: Any) -> dict[str, Any]:
    """What is known of somebody, but for instants."""
    return {**shown["traits"], **shown["computed"], "in": sorted(each["name"] for each in shown["audiences"])}


def known(site: Site) -> int:
    """How many events history has."""
    return int(site.run("query", "select count(*) n from events")[0]["n"])


def person(site: Site, who: str) -> Any:
    """Whose this identifier is."""
    return site.run("profile", "show", who)


def test_an_undo_outlives_who_does_it(tmp_path: Path) -> None:
    """What is in the log is done once, whoever dies; what comes late says nothing of the link any more."""
    with embedded(tmp_path) as site:
        one = told(site, tmp_path / "embedded")
    with clustered() as site:
        other = told(site, tmp_path / "clustered")
    assert one == other
    assert [each["orders"] for each in one["people"]] == [1, 2]
    assert one["sizes"] == {"buyers": 2, "regulars": 1}
    assert one["events"] == [{"people": 2, "events": len(LIVED) + 2}]
