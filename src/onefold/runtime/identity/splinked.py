"""Splink over the people there are, all at once: a batch beside the match role, whose proposals go to the same queue.

Blocking, comparisons and training follow Splink's own examples for such data. Splink is an extra:
`pip install 'onefold[matching]'`.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NamedTuple

import structlog

from onefold.errors import SettingsError
from onefold.matching.index import Thresholds, are_parted
from onefold.matching.record import Record
from onefold.model.proposal import Proposal

_COLUMNS = ("given", "family", "born", "street", "postcode", "phone", "email", "number")
_SEED = 1
_INSTALL = "Splink is missing: pip install 'onefold[matching]'"

log = structlog.get_logger()


class Splinked(NamedTuple):
    """What came of it."""

    proposals: list[Proposal]
    learning_s: float
    scoring_s: float


def match(records: Mapping[int, Record], thresholds: Thresholds, threads: int = 2) -> Splinked:
    """Learn of these records and score them. Splink knows no households: a proposal's is 0.

    Raises `SettingsError` where Splink is not installed, or cannot learn of these records.
    """
    try:
        import duckdb
        from splink import DuckDBAPI, Linker
    except ImportError as error:
        raise SettingsError(_INSTALL) from error
    logging.getLogger("splink").setLevel(logging.CRITICAL)
    rows = [[n, *_cells(record)] for n, record in records.items()]
    filled = [name for n, name in enumerate(_COLUMNS, start=1) if any(row[n] is not None for row in rows)]
    with closing(duckdb.connect()) as connection:
        connection.execute(f"SET threads = {threads}")
        connection.execute(f"CREATE TABLE records (id BIGINT, {', '.join(f'{name} VARCHAR' for name in _COLUMNS)})")
        for first in range(0, len(rows), _AT_ONCE):
            connection.executemany(_INSERT, rows[first : first + _AT_ONCE])
        api = DuckDBAPI(connection=connection)
        linker = Linker(api.register(connection.table("records")), _settings(filled))
        began_s = time.perf_counter()
        try:
            _learn(linker, filled)
            learnt_s = time.perf_counter()
            found = linker.inference.predict(threshold_match_probability=thresholds.review).as_record_list()
        except ValueError as error:
            raise SettingsError(f"Splink cannot learn of these records: {error}") from error
        scored_s = time.perf_counter()
    proposals = [_proposal(row, records, thresholds) for row in found]
    return Splinked(proposals, learnt_s - began_s, scored_s - learnt_s)


_AT_ONCE = 10_000
_INSERT = f"INSERT INTO records VALUES ({', '.join('?' * (1 + len(_COLUMNS)))})"  # noqa: S608 (of question marks)


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
    rules = [block_on("born"), block_on("street"), block_on("given", "family")]
    refused = []
    for rule in rules:
        try:
            training.estimate_parameters_using_expectation_maximisation(rule)
        except ValueError as error:  # A level that no pair of this block is at; the other blocks may teach it.
            refused.append(error)
    if len(refused) == len(rules):
        raise refused[0]
    if refused:
        log.info("splink learns nothing of some pairs", reason=str(refused[0]))


def _proposal(row: dict[str, Any], records: Mapping[int, Record], thresholds: Thresholds) -> Proposal:
    a, b = sorted((int(row["id_l"]), int(row["id_r"])))
    score = float(row["match_probability"])
    return Proposal(a, b, score, 0.0, ask=score < thresholds.link or are_parted(records[a], records[b]))
