"""Which given names stand for each other: Bob and Robert, Liz and Elizabeth.

The list is that of the `nicknames` package, English and kept by hand. A name stands for those that it is short for, for
their other short forms, and for its own.
"""

from functools import cache, lru_cache

from nicknames import NickNamer


@lru_cache(maxsize=65_536)
def are_nicknames(a: str, b: str) -> bool:
    """Whether two given names, in lower case, may be one person's; symmetric, and not transitive."""
    return b in _stand_for(a) or a in _stand_for(b) or not _long_forms(a).isdisjoint(_long_forms(b))


@lru_cache(maxsize=65_536)
def is_given_name(name: str) -> bool:
    """Whether a word in lower case is a given name that the list knows."""
    return bool(_stand_for(name) or _long_forms(name))


@lru_cache(maxsize=16_384)
def _stand_for(name: str) -> frozenset[str]:
    return frozenset(_list().nicknames_of(name))


@lru_cache(maxsize=16_384)
def _long_forms(name: str) -> frozenset[str]:
    return frozenset(_list().canonicals_of(name))


@cache
def _list() -> NickNamer:
    """Read when it is first asked for: who matches nobody does not pay."""
    return NickNamer()
