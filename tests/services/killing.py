"""Whoever changes people by command, and dies on the way: the command, the workers, or both, between two steps."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from onefold.cli.options import settings
from onefold.model import entry as entries
from onefold.model.entry import Recast
from onefold.storage.place import Place
from tests.services.story import Site

WITHIN_S = 60.0


def eventually(look: Callable[[], object]) -> None:
    """Wait until it is so."""
    until_s = time.monotonic() + WITHIN_S
    while not look():
        assert time.monotonic() < until_s
        time.sleep(0.1)


def workers(site: Site) -> list[str]:
    """The roles that fold."""
    return [name for name in site.roles.names if name.startswith("worker")]


def die_before_it_is_folded(site: Site, *words: str) -> None:
    """A command that recasts people is killed once its entry is in the log, and every worker before it folds that."""
    before = recasts_written(site)
    for worker in workers(site):
        site.roles.pause(worker)
    with command(site, *words):
        eventually(lambda: recasts_written(site) > before)
    for worker in workers(site):
        site.roles.kill(worker)


@contextmanager
def command(site: Site, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A command in a process of its own, which is killed at the end."""
    environ = {**os.environ, **site.environ}
    whole = [sys.executable, "-m", "onefold", *words, "--json"]
    with subprocess.Popen(whole, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            yield running
        finally:
            running.kill()


def recasts_written(site: Site) -> int:
    """How many entries there are in the log that recast people."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in site.environ.items():
            patch.setenv(name, value)
        place = Place.open(settings(None))
    with closing(place.log_reader()) as log:
        records = [log.read(partition, 0, 1 << 30) for partition in range(log.partitions)]
    return sum(isinstance(entries.decode(each.data), Recast) for some in records for each in some)
