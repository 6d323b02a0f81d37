"""The same records scored by Splink, all at once: a batch, and what ours is held against.

Blocking, comparisons and training follow Splink's own examples for such data. What it proposes is linked as ours is.
"""

import logging
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NamedTuple

import duckdb

from onefold.errors import SettingsError
from onefold.matching.index import are_parted
from onefold.matching.linking import Linked, link
from onefold.matching.record import Record
from onefold.model.proposal import Proposal

_COLUMNS = ("given", "family", "born", "street", "postcode", "phone", "email", "number")
_SEED = 1
_LEAST = 0.5
"""Pairs that are less probable are not asked for."""


class Splinked(NamedTuple):
    """What came of it."""

    linked: Linked
    learning_s: float
    scoring_s: float


def attempt(records: Mapping[int, Record], threshold: float) -> Splinked | None:
    """The same; None, and a line that says so, where Splink is missing or cannot learn of these records."""
    try:
        return match(records, threshold)
    except SettingsError as error:
        sys.stderr.write(f"left out: {error}\n")
        return None


def match(records: Mapping[int, Record], threshold: float) -> Splinked:
    """Learn, score and link. Raises `SettingsError` where Splink is not installed."""
    try:
        from splink import DuckDBAPI, Linker
    except ImportError as error:
        raise SettingsError("Splink is missing: pip install 'onefold[matching]'") from error
    logging.disable(logging.CRITICAL)
    rows = [[n, *_cells(record)] for n, record in records.items()]
    filled = [name for n, name in enumerate(_COLUMNS, start=1) if any(row[n] is not None for row in rows)]
    with closing(duckdb.connect()) as connection:
        connection.execute("SET threads = 2")
        connection.execute(f"CREATE TABLE records (id BIGINT, {', '.join(f'{name} VARCHAR' for name in _COLUMNS)})")
        connection.executemany(f"INSERT INTO records VALUES ({', '.join('?' * (1 + len(_COLUMNS)))})", rows)
        api = DuckDBAPI(connection=connection)
        linker = Linker(api.register(connection.table("records")), _settings(filled))
        began_s = time.perf_counter()
        try:
            _learn(linker, filled)
        except ValueError as error:
            raise SettingsError(f"Splink cannot learn of these records: {error}") from error
        learnt_s = time.perf_counter()
        found = linker.inference.predict(threshold_match_probability=_LEAST).as_record_list()
        scored_s = time.perf_counter()
    linked = link((_proposal(row, records, threshold) for row in found), records)
    return Splinked(linked, learnt_s - began_s, scored_s - learnt_s)


def _cells(record: Record) -> list[str | None]:
    first = [next(iter(several), "") for several in (record.phones, record.emails, record.numbers)]
    cells = [record.given, record.family, record.born, record.street, record.postcode, *first]
    return [cell or None for cell in cells]


def _settings(filled: list[str]) -> Any:
    import splink.comparison_library as cl
    from splink import SettingsCreator

    comparisons = {
        "given": cl.NameComparison("given").configure(term_frequency_adjustments=True),
        "family": cl.NameComparison("family").configure(term_frequency_adjustments=True),
        "born": cl.DamerauLevenshteinAtThresholds("born", [1]),
        "street": cl.JaroWinklerAtThresholds("street", [0.9]),
        "postcode": cl.DamerauLevenshteinAtThresholds("postcode", [1]),
        "phone": cl.DamerauLevenshteinAtThresholds("phone", [1]),
        "email": cl.DamerauLevenshteinAtThresholds("email", [1, 2]),
        "number": cl.DamerauLevenshteinAtThresholds("number", [1]),
    }
    return SettingsCreator(
        unique_id_column_name="id",
        link_type="dedupe_only",
        blocking_rules_to_generate_predictions=_blocks(filled),
        comparisons=[comparison for name, comparison in comparisons.items() if name in filled],
    )


def _blocks(filled: list[str]) -> list[Any]:
    from splink import block_on
    from splink.blocking_rule_library import CustomRule

    pairs = [block_on("given", "family"), block_on("family", "postcode"), block_on("given", "postcode")]
    alone = [block_on(name) for name in ("born", "street", "phone", "email", "number") if name in filled]
    return [*pairs, *alone, CustomRule("l.given = r.family and l.family = r.given")]


def _learn(linker: Any, filled: list[str]) -> None:
    from splink import block_on

    training = linker.training
    sure = [block_on("given", "family", "born"), *([block_on("number")] if "number" in filled else [])]
    training.estimate_probability_two_random_records_match(sure, recall=0.8)
    training.estimate_u_using_random_sampling(max_pairs=1e6, seed=_SEED)
    for rule in (block_on("born"), block_on("street"), block_on("given", "family")):
        training.estimate_parameters_using_expectation_maximisation(rule)


def _proposal(row: dict[str, Any], records: Mapping[int, Record], threshold: float) -> Proposal:
    a, b = sorted((int(row["id_l"]), int(row["id_r"])))
    score = float(row["match_probability"])
    return Proposal(a, b, score, 0.0, ask=score < threshold or are_parted(records[a], records[b]))
