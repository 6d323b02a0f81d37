"""Collect without its server: the real decoding, partitioning and answers, over a log that may fail.

A turn is one group commit of the requests of some clients, as `collect.committer` makes it.
"""

from random import Random

from onefold.clock import Clock
from onefold.collect.answer import SUCCESS, Answer, not_stored, overloaded, partly, unauthorized
from onefold.collect.decode import Decoder, Intake
from onefold.collect.record import records
from onefold.errors import Overloaded, StorageError
from onefold.ports import LogWriter
from onefold.settings import Settings
from onefold.testing.simulation.people import SOURCES, Crowd, Request

_UNKNOWN_KEY = 0.03
_PRESSURE = 0.05
_ANSWER_LOST = 0.1


class Collect:
    """One http process."""

    def __init__(self, log: LogWriter, clock: Clock, chance: Random, settings: Settings) -> None:
        self._log = log
        self._clock = clock
        self._chance = chance
        self._decoder = Decoder(settings, log.partitions)

    def turn(self, crowd: Crowd, most: int = 4) -> int:
        """Take the requests of some clients and answer them; returns how many."""
        waiting = crowd.waiting()
        tried = self._chance.sample(waiting, min(len(waiting), self._chance.randint(1, most)))
        group: list[tuple[Request, Intake]] = []
        lanes: dict[int, list[bytes]] = {}
        for request in tried:
            request.tries += 1
            intake = self._decode(request)
            if isinstance(intake, Answer):
                self._answer(request, intake)
                continue
            for partition, lane in records(intake, SOURCES[request.key], self._clock.now_ms()).items():
                lanes.setdefault(partition, []).extend(lane)
            group.append((request, intake))
        refused = self._append(lanes)
        for request, intake in group:
            self._answer(request, refused or (partly(intake.accepted, intake.rejected) if intake.rejected else SUCCESS))
        return len(tried)

    def _decode(self, request: Request) -> Intake | Answer:
        """As the collector does before it appends: pressure, body, key."""
        if self._chance.random() < _PRESSURE:
            return overloaded(Overloaded("the workers are behind"))
        body = request.body(self._clock.now_ms())
        intake = self._decoder.batch(body) if request.kind == "batch" else self._decoder.single(body, "track")
        if isinstance(intake, Intake) and self._chance.random() < _UNKNOWN_KEY:
            return unauthorized(key_given=True)
        return intake

    def _append(self, lanes: dict[int, list[bytes]]) -> Answer | None:
        if not lanes:
            return None
        try:
            self._log.append(lanes)
        except StorageError as error:
            return not_stored(error)
        return None

    def _answer(self, request: Request, answer: Answer) -> None:
        """What a client makes of an answer, if it reaches it: 503 and 401 are tried again, and 400 is not."""
        if self._chance.random() < _ANSWER_LOST:
            return
        if answer.status == 200:
            request.stored = request.ended = True
        elif answer.status == 400:
            request.stored = b'"rejected"' in answer.body
            request.ended = True
