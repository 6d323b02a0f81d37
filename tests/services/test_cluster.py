"""A cluster of real servers and processes, hit over and over: everything that was promised holds (I1-I5, I9, I10)."""

import asyncio
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

from onefold.testing.cluster.run import Cluster
from tests.e2e.cluster_ordeal import VICTIMS, ClusterOrdeal, Plan
from tests.e2e.reckoning import check, look

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]
LOG_LINES = 80


@pytest.mark.parametrize(("brokers", "blows"), [(1, len(VICTIMS)), (3, len(VICTIMS))])
def test_blows_lose_nothing(tmp_path: Path, brokers: int, blows: int) -> None:
    """Whoever is killed or stands still: nothing acknowledged is lost, nothing counts twice, all of it is delivered.

    And the log, folded again by the embedded engines, gives the same people, traits and memberships.
    """
    wanted = os.environ.get
    seed = int(wanted("ONEFOLD_SEED") or SystemRandom().randrange(1_000_000))
    plan = Plan(seed, int(wanted("ONEFOLD_BLOWS") or blows), brokers)
    again = f"again: ONEFOLD_SEED={plan.seed} ONEFOLD_BLOWS={plan.blows} make test-services"
    sys.stdout.write(f"\n{again}\n")
    with Cluster(brokers=brokers) as cluster:
        try:
            ordeal = ClusterOrdeal(plan, cluster, tmp_path)
            evidence = asyncio.run(ordeal.run())
            problems = check(evidence, look(evidence))
            refused = ordeal.commits_refused()
        except Exception as error:
            error.add_note("\n".join([*cluster.log.read_text().splitlines()[-LOG_LINES:], again]))
            raise
        assert not problems, "\n".join([*problems, again])
    assert evidence.tally.acknowledged
    assert evidence.hooks
    assert refused > blows


def test_events_are_taken_in_while_the_database_is_away() -> None:
    """Collect stays ready and acknowledges; who needs the state says so, and goes on by itself when it is back."""
    counts = {"collect": 1, "worker": 1, "deliver": 1, "api": 1}
    with Cluster(counts) as cluster:
        roles = cluster.roles
        url, key = roles.url("collect-0"), base64.b64encode(f"{cluster.write_key}:".encode()).decode()
        send(url, key, "before")
        cluster.postgres.kill()
        until(lambda: not roles.ready("api-0") and not roles.ready("worker-0"))
        send(url, key, "meanwhile")
        assert roles.ready("collect-0")
        cluster.postgres.restart()
        roles.await_ready()
        with closing(cluster.place.state(readonly=True)) as state:
            until(lambda: state.lookup("user_id:before") is not None and state.lookup("user_id:meanwhile") is not None)
        assert [roles.starts(name) for name in ("collect-0", "worker-0", "api-0")] == [1, 1, 1]


def test_what_was_sent_is_read() -> None:
    """Read your writes over Kafka and PostgreSQL: with its receipt the next read has every event, at any API."""
    with Cluster({"collect": 1, "worker": 2, "api": 2}) as cluster:
        roles = cluster.roles
        url, key = roles.url("collect-0"), base64.b64encode(f"{cluster.write_key}:".encode()).decode()
        secret = cluster.secret_key
        apis = [roles.url("api-0"), roles.url("api-1")]
        until(lambda: all(read(api, secret, "nobody", "")[0] == 404 for api in apis))
        for n in range(1, 40):
            receipt = send(url, key, f"u{n % 4}")
            status, found = read(apis[n % 2], secret, f"u{n % 4}", receipt)
            assert (status, found["events"]) == (200, n // 4 + (n % 4 > 0))


def read(url: str, secret: str, user: str, receipt: str) -> tuple[int, Any]:
    """A profile, once all is folded that the receipt names."""
    path = f"{url}/v1/profiles/user_id:{user}?after={receipt}" if receipt else f"{url}/v1/profiles/user_id:{user}"
    try:
        asked = urllib.request.Request(path, headers={"authorization": f"Bearer {secret}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_without_brokers_events_are_refused_and_taken_again() -> None:
    """503 with Retry-After within seconds, and 200 again once the broker is back; the process lives on."""
    with Cluster({"collect": 1, "worker": 1}) as cluster:
        roles = cluster.roles
        url, key = roles.url("collect-0"), base64.b64encode(f"{cluster.write_key}:".encode()).decode()
        send(url, key, "before")
        cluster.kafka.kill(0)
        with pytest.raises(urllib.error.HTTPError) as refused:
            send(url, key, "meanwhile")
        assert refused.value.code == 503
        assert int(refused.value.headers["retry-after"]) > 0
        cluster.kafka.restart(0)
        until(lambda: sent(url, key, "after"))
        with closing(cluster.place.state(readonly=True)) as state:
            until(lambda: state.lookup("user_id:after") is not None)
        assert [roles.starts(name) for name in roles.names] == [1, 1]


def send(url: str, key: str, user: str) -> str:
    """Send an event; its receipt. Raises `HTTPError` where it is refused."""
    body = json.dumps({"userId": user, "event": "Order Completed"}).encode()
    headers = {"authorization": f"Basic {key}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/track", body, headers), timeout=30) as answer:
        assert answer.status == 200
        return str(answer.headers["onefold-receipt"])


def sent(url: str, key: str, user: str) -> bool:
    """Whether it was taken."""
    try:
        send(url, key, user)
    except urllib.error.HTTPError:
        return False
    return True


def until(true: Callable[[], bool], within_s: float = 60.0) -> None:
    """Look again and again until it is so."""
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, "did not come true in time"
        time.sleep(0.05)
