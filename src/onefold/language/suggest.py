"""The name that somebody most likely meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher

_LIKE_ENOUGH = 0.66
_LONGEST = 100


def nearest(name: str, candidates: Iterable[str]) -> str:
    """The candidate most like `name` (ties: the first in order), or an empty text where none is near."""
    wanted = _plain(name[:_LONGEST])
    best, best_score = "", 0.0
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    for candidate in sorted(set(candidates)):
        matcher.set_seq1(_plain(candidate[:_LONGEST]))
        floor = max(best_score, _LIKE_ENOUGH - 1e-9)
        if matcher.real_quick_ratio() <= floor or matcher.quick_ratio() <= floor:
            continue
        if (score := matcher.ratio()) > floor:
            best, best_score = candidate, score
    return best


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")
