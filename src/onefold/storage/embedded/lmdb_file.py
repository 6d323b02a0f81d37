"""Looks at an LMDB data file before LMDB maps it: a file that was cut short kills a process that maps it (SIGBUS).

Only what the two meta pages promise is checked, in a few small reads, so it is cheap at any size. Damage inside
pages is found by the checksums of what they hold.
"""

import struct
from pathlib import Path
from typing import NamedTuple

from onefold.errors import Damaged, TooNew

_PAGE = struct.Struct("=QHHHH")
_META = struct.Struct("=IIQQ48s48sQQ")
_TREE = struct.Struct("=IHHQQQQQ")
_MAGIC = 0xBEEFC0DE
_META_PAGE = 0x08
_VERSIONS = {1}
"""Data format of LMDB 0.9, which `log` asks for."""
_NO_ROOT = (1 << 64) - 1
_TRIES = 3


class Meta(NamedTuple):
    """What one meta page says of the file."""

    page_bytes: int
    last_page: int
    roots: tuple[int, int]
    transaction: int


def check(directory: Path) -> bool:
    """Whether a database lies here; raises `Damaged` where one does that must not be mapped, `TooNew` likewise.

    A writer may commit meanwhile, so what looks wrong is looked at again before it is called damage.
    """
    file = directory / "data.mdb"
    for left in reversed(range(_TRIES)):
        try:
            return _check(file)
        except FileNotFoundError:
            return False
        except Damaged:
            if not left:
                raise
    raise AssertionError


def _check(file: Path) -> bool:
    with file.open("rb") as data:
        first = _meta(file, data.read(_PAGE.size + _META.size))
        data.seek(first.page_bytes)
        second = _meta(file, data.read(_PAGE.size + _META.size))
        size = data.seek(0, 2)
    newest = max(first, second, key=lambda meta: meta.transaction)
    needed = (newest.last_page + 1) * newest.page_bytes
    if first.page_bytes != second.page_bytes or needed > size:
        raise Damaged(f"{file} was cut short: it has {size} bytes of {needed}; restore it from a backup")
    if any(root != _NO_ROOT and not 2 <= root <= newest.last_page for root in newest.roots):
        raise Damaged(f"{file}: its meta page points outside of the file; restore it from a backup")
    return True


def _meta(file: Path, head: bytes) -> Meta:
    if len(head) < _PAGE.size + _META.size:
        raise Damaged(f"{file} ends within its meta pages; restore it from a backup")
    flags = _PAGE.unpack_from(head)[2]
    magic, version, _, _, free, main, last_page, transaction = _META.unpack_from(head, _PAGE.size)
    if magic != _MAGIC or not flags & _META_PAGE:
        raise Damaged(f"{file} has no valid meta pages; restore it from a backup")
    if version not in _VERSIONS:
        raise TooNew(f"{file} has LMDB format {version}; this Onefold knows 1")
    page_bytes: int = _TREE.unpack(free)[0]
    if not 256 <= page_bytes <= 65536 or page_bytes & (page_bytes - 1):
        raise Damaged(f"{file} claims pages of {page_bytes} bytes; restore it from a backup")
    return Meta(page_bytes, last_page, (_TREE.unpack(free)[7], _TREE.unpack(main)[7]), transaction)
