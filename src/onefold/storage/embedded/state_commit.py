"""How one batch's changes are written into the tables of the LMDB state, in sorted order, within one transaction.

Keys are sorted before they are put: neighbours share pages, so the tree is walked and copied once a page.
"""

from collections.abc import Mapping
from typing import Any

from onefold.model import effect, rules
from onefold.model.changes import Changes
from onefold.ports import Loaded
from onefold.storage import state_touched
from onefold.storage.embedded.lmdb_env import Txn
from onefold.storage.embedded.rows import ROWS, Row
from onefold.storage.embedded.state_tables import Head, Tables, member_prefix, rules_key
from onefold.storage.state_bytes import COUNT, PLACE, U64, encode
from onefold.storage.state_touched import TOUCHED_KEPT, Touched


def check(txn: Txn, tables: Tables, head: Head, batch: tuple[Changes, Loaded]) -> None:
    """Raise `Conflict` where a commit after the batch's snapshot touched what it read or writes; messages apart."""
    changes, loaded = batch
    state_touched.require_told(loaded.snapshot, head.number)
    numbers = range(loaded.snapshot + 1, head.number + 1)
    records = ((number, read_touched(txn, tables, number)) for number in numbers)
    state_touched.require_untouched(changes, loaded, records)


def read_touched(txn: Txn, tables: Tables, number: int) -> Touched:
    """What this commit changed; it is one of the last TOUCHED_KEPT."""
    record = txn.get(U64.pack(number), db=tables.touched)
    assert record is not None
    return state_touched.decode(record)


def write(txn: Txn, tables: Tables, batch: tuple[Changes, int], encoded: Mapping[int, bytes]) -> None:
    """Write all of a batch but its messages, as the commit of this number."""
    changes, number = batch
    _put(txn, tables.profiles, ROWS.of_profiles(changes.profiles, encoded))
    for profile, survivor in sorted(changes.absorbed.items()):
        txn.delete(U64.pack(profile), db=tables.profiles)
        txn.put(U64.pack(profile), U64.pack(survivor), db=tables.redirects)
    for profile in changes.returned:
        txn.delete(U64.pack(profile), db=tables.redirects)
    for identifier in changes.freed:
        txn.delete(identifier.encode(), db=tables.identifiers)
    _put(txn, tables.identifiers, ROWS.of_identifiers(changes.identifiers))
    _write_timers(txn, tables, changes)
    _write_members(txn, tables, changes)
    _write_counts(txn, tables, changes)
    if changes.effects:
        value = bytes((changes.partition,)) + effect.encode(changes.effects)
        txn.put(U64.pack(number), value, db=tables.effects, append=True)
    for event in changes.quarantined:
        txn.put(PLACE.pack(event.partition, event.position), encode(event), db=tables.quarantine)
    txn.put(bytes((changes.partition,)), encode(changes.cursor), db=tables.cursors)
    if changes.rules is not None:
        txn.put(rules_key(changes.cursor.rules), rules.encode(changes.rules), db=tables.meta)
    txn.put(U64.pack(number), state_touched.record(changes), db=tables.touched, append=True)
    if number > TOUCHED_KEPT:
        txn.delete(U64.pack(number - TOUCHED_KEPT), db=tables.touched)


def _put(txn: Txn, table: Any, items: list[Row]) -> None:
    if items:
        txn.cursor(table).putmulti(items)


def _write_timers(txn: Txn, tables: Tables, changes: Changes) -> None:
    gone, armed = ROWS.of_timers(changes.due, changes.absorbed)
    for key in gone:
        txn.delete(key, db=tables.timers)
    _put(txn, tables.timers, armed)


def _write_members(txn: Txn, tables: Tables, changes: Changes) -> None:
    """Keep each audience's size right by what was there before, not by what the batch thinks was there."""
    cursor = txn.cursor(tables.members)
    for audience, moved in sorted(changes.members.items()):
        entered, left = ROWS.of_members(member_prefix(audience), moved)
        consumed, difference = cursor.putmulti(entered, overwrite=False)
        if difference < consumed:
            cursor.putmulti(entered)
        for key in left:
            if txn.delete(key, db=tables.members):
                difference -= 1
        if difference:
            _add(txn, tables.sizes, audience.encode(), difference)


def _write_counts(txn: Txn, tables: Tables, changes: Changes) -> None:
    for name, amount in changes.counts.items():
        if amount:
            _add(txn, tables.counts, bytes((changes.partition,)) + name.encode(), amount)


def _add(txn: Txn, table: Any, key: bytes, amount: int) -> None:
    """Add to a counter; one that comes to nothing is removed."""
    total = COUNT.unpack(txn.get(key, COUNT.pack(0), db=table))[0] + amount
    if total:
        txn.put(key, COUNT.pack(total), db=table)
    else:
        txn.delete(key, db=table)
