"""The demo, as the README promises it: real processes, public HTTP, and an account that closes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(90)
def test_the_demo_accounts_for_every_event(tmp_path: Path) -> None:
    """A short demo shows people merged, audiences entered and left, webhooks verified, and closes its account."""
    command = [sys.executable, "-m", "onefold", "demo", "--for", "8", "--rate", "60", "--json"]
    done = subprocess.run([*command, "--data", str(tmp_path / "data")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"]
    assert found["sent"] == found["received"]
    assert found["sent"] == found["admitted"] + found["duplicate"] + sum(found["quarantined"].values())
    assert found["merges"] > 0
    assert any(audience["left"] for audience in found["audiences"].values())
    assert found["webhooks"] == {"verified": found["deliveries"]["delivered"], "forged": 0}
    assert found["latency"]["visible_in_profile"]["samples"] > 5
    assert "Mara Lind" in done.stderr


@pytest.mark.timeout(60)
def test_the_demo_fails_where_it_cannot_start(tmp_path: Path) -> None:
    """A directory that holds other files is refused with a clear line and an exit code of its own."""
    (tmp_path / "letter.txt").write_text("dear reader")
    command = [sys.executable, "-m", "onefold", "demo", "--for", "1", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "letter.txt" in done.stderr
