"""Events as history keeps them: from effects, which say the place and the person, and the log, which has the rest."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import structlog
from msgspec import Raw, Struct

from onefold.core import batch
from onefold.core.identity.identifiers import Who
from onefold.errors import Damaged, NotFoundError
from onefold.model import entry as entries
from onefold.model.changes import Cursor
from onefold.model.effect import Admitted
from onefold.model.entry import Received
from onefold.model.event import Event
from onefold.model.past import Past
from onefold.model.position import split
from onefold.ports import LogReader, Record

_READ_BYTES = 4 << 20
"""Of the log at once; effects come in its order, so that most of what is read is wanted next."""

log = structlog.get_logger()


class _Bodies(Struct, tag="received", tag_field="kind"):
    """Of a record, the events' own bytes."""

    events: list[Raw]


class _Nobody:
    """Whose an event is has been settled."""

    def find(self, event: Any) -> Who:  # noqa: ARG002 - the shape of `batch.Finding`
        return _NOBODY


_NOBODY = Who(())
_NAMES = frozenset(Event.__struct_fields__)
_decode_bodies = msgspec.json.Decoder(_Bodies).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_any = msgspec.json.Decoder().decode


class Bodies:
    """Reads what was admitted from the log. Each partition is read forwards, mostly."""

    def __init__(self, reader: LogReader) -> None:
        self._log = reader
        self._ahead: dict[int, dict[int, Record]] = {}
        self.missing = 0
        """Events that were admitted and are no longer in the log, or are damaged there."""

    def pasts(self, partition: int, admitted: Iterable[Admitted]) -> Iterator[Past]:
        """The events of these effects of one partition, which are in the log's order."""
        of_record: list[Admitted] = []
        for effect in admitted:
            if of_record and split(effect.position)[0] != split(of_record[0].position)[0]:
                yield from self._of_record(partition, of_record)
                of_record = []
            of_record.append(effect)
        if of_record:
            yield from self._of_record(partition, of_record)

    def _of_record(self, partition: int, admitted: list[Admitted]) -> Iterator[Past]:
        offset = split(admitted[0].position)[0]
        record = self._record(partition, offset)
        if record is None:
            self.missing += len(admitted)
            log.error("events are no longer in the log", partition=partition, offset=offset, events=len(admitted))
            return
        entry = entries.decode(record.data)
        assert isinstance(entry, Received)
        # All events of a record were admitted at one log time, which the effects say: as the worker saw it.
        seen = Cursor(offset, now_ms=admitted[0].at_ms)
        incoming = batch.read(partition, seen, [(offset, entry)], _Nobody()).incoming
        bodies = _decode_bodies(record.data).events
        for effect in admitted:
            index = split(effect.position)[1]
            one = incoming[index]
            yield Past(
                partition,
                effect.position,
                effect.profile,
                one.at_ms,
                effect.at_ms,
                one.fingerprint,
                one.source,
                effect.name,
                entry.events[index],
                _extra(bodies[index]),
            )

    def _record(self, partition: int, offset: int) -> Record | None:
        ahead = self._ahead.setdefault(partition, {})
        if offset not in ahead:
            ahead.clear()
            try:
                ahead.update((record.offset, record) for record in self._log.read(partition, offset, _READ_BYTES))
            except (NotFoundError, Damaged):
                return None
        return ahead.get(offset)


def _extra(body: Raw) -> dict[str, Any]:
    """Fields that the spec does not name."""
    fields = _decode_fields(body)
    if fields.keys() <= _NAMES:
        return {}
    return {name: _decode_any(value) for name, value in fields.items() if name not in _NAMES}
