"""`make cluster`, as it runs without a terminal: everything happens, and every account closes."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.services, pytest.mark.timeout(420)]
WITHIN_S = 360


def test_the_account_of_a_hit_cluster_closes() -> None:
    """A worker, a broker and PostgreSQL are killed and come back, and nothing has vanished or differs."""
    command = [sys.executable, "-m", "onefold.testing.cluster.demo", "--for", "25", "--rate", "15"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    assert done.returncode == 0, done.stdout + done.stderr
    for killed in ("kill -9 worker-0", "kill -9 Kafka broker 1", "kill -9 PostgreSQL"):
        assert killed in done.stderr
    for back in ("worker-0 is replaced", "Kafka broker 1 serves again", "PostgreSQL has recovered"):
        assert back in done.stderr
    account = done.stdout.splitlines()[-6:]
    assert [line.split()[1] for line in account[:5]] == ["events", "fold", "deliveries", "webhooks", "embedded"]
    assert all(line.startswith("✓") for line in account), account
    assert "the same people, traits and memberships" in account[4]
