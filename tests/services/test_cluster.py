"""A cluster of real servers and processes, hit over and over: everything that was promised holds (I1-I5, I9, I10)."""

import asyncio
import os
import sys
from pathlib import Path
from random import SystemRandom

import pytest

from onefold.testing.cluster import Cluster
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
