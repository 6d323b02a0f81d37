"""Pseudopeople's sample: a census and a year's tax forms of one made-up town, with households, and who is who.

Source: the `pseudopeople` package (Haddock et al., 2024), its own sample population of some 10,000, its own noise.
"""

import re
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from typing import Any, NamedTuple

from onefold.errors import SettingsError
from onefold.matching.record import Record, date, fold

SEED = 1
_COMPACT = re.compile(r"(\d{2})(\d{2})(\d{4})\Z")


class Sample(NamedTuple):
    """Records in no order that says anything."""

    records: list[Record]
    people: list[str]
    """Whom each record is of."""
    households: list[str]


def load(seed: int = SEED) -> Sample:
    """The sample, with noise by this seed. Raises `SettingsError` where the package is not installed."""
    try:
        with redirect_stderr(StringIO()):
            import pseudopeople
    except ImportError as error:
        raise SettingsError("pseudopeople is missing: pip install 'onefold[proof]'") from error
    sample = Sample([], [], [])
    with redirect_stderr(StringIO()):
        census = pseudopeople.generate_decennial_census(seed=seed)
        taxes = pseudopeople.generate_taxes_w2_and_1099(seed=seed)
    for table, prefix in ((census, ""), (taxes, "mailing_address_")):
        for row in _rows(table):
            sample.records.append(_record(row, prefix))
            sample.people.append(row["simulant_id"])
            sample.households.append(row["household_id"])
    return sample


def _rows(table: Any) -> Iterator[dict[str, str]]:
    columns = {name: ["" if cell != cell else str(cell) for cell in table[name].astype(object)] for name in table}  # noqa: PLR0124 - what is missing is not itself
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def _record(row: dict[str, str], prefix: str) -> Record:
    street = " ".join(row[prefix + part] for part in ("street_number", "street_name", "unit_number"))
    number = row.get("ssn", "").replace("-", "")
    return Record(
        given=fold(row["first_name"]),
        family=fold(row["last_name"]),
        born=_born(row.get("date_of_birth", "")),
        street=fold(street),
        place=fold(row[prefix + "city"]),
        postcode=fold(row[prefix + "zipcode"]),
        numbers=(number,) if number else (),
    )


def _born(text: str) -> str:
    """The census has MM/DD/YYYY, others MMDDYYYY."""
    found = _COMPACT.match(text)
    return date(f"{found[1]}/{found[2]}/{found[3]}" if found else text)
