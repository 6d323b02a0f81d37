"""How a cluster comes to rest: role after role stops when it has done what those before it have left to do."""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing

from onefold.ports import Deliveries, State
from onefold.testing.cluster.run import Cluster

_POLL_S = 0.1


def come_to_rest(cluster: Cluster, within_s: float) -> None:
    """Stop collect, then the workers when they have folded the log, then the others when all of it is delivered.

    Each may take `within_s`; what is not done by then stays undone, and an account says so. Blocks.
    """
    with ExitStack() as stack:
        log = stack.enter_context(closing(cluster.place.log_reader()))
        state = stack.enter_context(closing(cluster.place.state(readonly=True)))
        book = stack.enter_context(closing(cluster.place.deliveries(readonly=True)))
        _stop(cluster, "collect")
        ends = {partition: log.ends(partition)[1] for partition in range(log.partitions)}
        _await(lambda: all(state.cursor(partition).offset >= end for partition, end in ends.items()), within_s)
        _stop(cluster, "worker")
        _await(lambda: not untaken(state, book) and not _pending(book.counts()), within_s)
    cluster.roles.close()


def untaken(state: State, book: Deliveries) -> bool:
    """Whether there are effects that a destination has not taken; commits without effects are nothing to take."""
    return any(state.commits(each.low_water, 1) for each in book.standings().values() if each.following)


def _pending(counts: dict[str, dict[str, int]]) -> int:
    return sum(each.get("pending", 0) for each in counts.values())


def _stop(cluster: Cluster, verb: str) -> None:
    for name in cluster.roles.names:
        if name.startswith(f"{verb}-"):
            cluster.roles.stop(name)


def _await(done: Callable[[], bool], within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not done() and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
