"""The world as one stream of events: all households' lives at once, in order of time."""

import heapq
from collections.abc import Iterator
from operator import attrgetter

from bench.world.life import Life
from bench.world.parameters import Parameters
from bench.world.people import Household, settle
from bench.world.truth import Happening

BEGIN_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z."""


class World:
    """A seeded world. The same parameters and seed give the same people and events, with the same version of Faker."""

    def __init__(self, parameters: Parameters, seed: int = 1) -> None:
        self.parameters = parameters
        self.seed = seed
        self.households: list[Household] = settle(parameters, seed)

    def happenings(self) -> Iterator[Happening]:
        """Every event in order of time. Memory holds the people, and a day of each household."""
        lives = (Life(self.parameters, household, self.seed, BEGIN_MS) for household in self.households)
        return heapq.merge(*(life.happenings() for life in lives), key=attrgetter("at_ms"))
