"""Which partitions are a worker's to fold, where the settings say so; a log on Kafka assigns them itself."""

from collections.abc import Iterable

from onefold.errors import SettingsError


class FixedAssignment:
    """`ports.Assignment` that never changes."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self._partitions = frozenset(partitions)

    def partitions(self) -> frozenset[int]:
        """The partitions."""
        return self._partitions

    def hold(self, partitions: frozenset[int]) -> None:
        """Nobody waits for any."""

    def close(self) -> None:
        """Nothing to give up."""


def share(partitions: int, workers: int, index: int) -> FixedAssignment:
    """Of so many partitions those whose number is `index` modulo `workers`. Raises `SettingsError` where none is."""
    if not 0 <= index < workers:
        raise SettingsError(f"worker {index} of {workers}: the first is 0, the last {workers - 1} (`workers`)")
    own = range(index, partitions, workers)
    if not own:
        raise SettingsError(
            f"the log has {partitions} partitions, too few for {workers} workers: start fewer; the number of "
            "partitions is fixed when a data directory is made (`onefold serve --partitions`)"
        )
    return FixedAssignment(own)
