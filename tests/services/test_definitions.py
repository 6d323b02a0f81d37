"""Definitions over Kafka and PostgreSQL: whatever is asked, the answers are those of the embedded engines."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.testing.cluster.run import Cluster
from onefold.testing.roles import Roles
from tests.services import story
from tests.services.story import Site

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]
SOON = {"ONEFOLD_HISTORY_FLUSH_S": "0.2"}


@contextmanager
def embedded(path: Path) -> Iterator[Site]:
    """One of each role over a data directory."""
    settings = Settings(data=path / "data", partitions=2)
    catalog = Place.open(settings).catalog()
    first = catalog.bootstrap()
    catalog.close()
    assert first is not None
    environ = {**SOON, "ONEFOLD_DATA": str(settings.data), "ONEFOLD_PARTITIONS": "2", "ONEFOLD_DISK_RESERVE_BYTES": "1"}
    counts = {"collect": 1, "worker": 1, "history": 1, "api": 1}
    with Roles(environ, counts, path / "roles.log") as roles:
        roles.await_ready()
        yield Site(roles, environ, *first, collects=["collect-0"], answers=["api-0"])


@contextmanager
def clustered() -> Iterator[Site]:
    """Several of each over one broker and one database."""
    with Cluster({"collect": 2, "worker": 2, "history": 1, "api": 2}, environ=SOON) as cluster:
        yield Site(
            cluster.roles, cluster.environ, cluster.write_key, cluster.secret_key,
            collects=["collect-0", "collect-1"], answers=["api-0", "api-1"],
        )  # fmt: skip


def test_both_engines_answer_alike(tmp_path: Path) -> None:
    """Backfill, preview, why, shadow, promotion, rollback, exports, queries, reading what one wrote: all of it.

    And on both, people leave by time alone.
    """
    requests = story.events(1, int(time.time() * 1000))
    found: list[dict[str, Any]] = []
    for name, site in (("embedded", embedded(tmp_path)), ("clustered", clustered())):
        with site as running:
            found.append(story.told(running, tmp_path / name, requests))
            assert 1.5 < story.leaves_by_time_alone(running, tmp_path / f"{name} waits") < 20
    for what, answer in found[0].items():
        assert answer == found[1][what], what
    assert [one[0] for one in found[0]["preview"]] == ["both", "buyers", "lookers", "spenders"]
    for name, size in found[0]["sizes"].items():
        assert size == sum(name in person[3] for person in found[0]["backfilled"]), name
    assert found[0]["backfilled"] == found[0]["rolled back"] != found[0]["promoted"]
