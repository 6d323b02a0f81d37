"""Durations as people write them: `90s`, `15m`, `1h`, `30d`, `2w`; and back."""

import re

from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, WINDOW_MAX_MS

UNITS_MS = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_PATTERN = re.compile(r"([0-9]{1,12})([smhdw])")
_NEAR = re.compile(r"\s*([0-9]+)\s*([A-Za-z]+)\s*")
_LONG = {"sec": "s", "min": "m", "hour": "h", "hr": "h", "day": "d", "week": "w", "wk": "w"}


def parse_duration(text: str) -> int | None:
    """Milliseconds, or None where the text is no duration, is nothing, or is longer than WINDOW_MAX_MS."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    ms = int(match[1]) * UNITS_MS[match[2]]
    return ms if 0 < ms <= WINDOW_MAX_MS else None


def why_not(text: str) -> tuple[str, str]:
    """Why a text is no duration, and what to write instead (may be empty)."""
    if match := _PATTERN.fullmatch(text):
        if int(match[1]) == 0:
            return "a duration must be longer than nothing", ""
        return f"a duration is at most {WINDOW_MAX_MS // DAY_MS} days", ""
    match = _NEAR.fullmatch(text)
    unit = match[2] if match else ""
    if unit.lower().rstrip("s") in ("month", "mo", "mon", "year", "yr", "y") or unit == "M":
        return "months and years differ in length: say how many days or weeks", ""
    for long, short in {**_LONG, **{u: u for u in UNITS_MS}}.items():
        if match and len(match[1]) <= 12 and unit.lower() in (long, long + "s"):
            return f"`{text}` is no duration", f'"{int(match[1])}{short}"'
    return "a duration is a whole number and s, m, h, d or w, as in `90s`, `15m`, `1h`, `30d`, `2w`", ""


def show_duration(ms: int) -> str:
    """The duration in its largest whole unit; `ms` is a whole number of seconds."""
    assert ms % SECOND_MS == 0
    unit = max((u for u in UNITS_MS if ms % UNITS_MS[u] == 0), key=UNITS_MS.__getitem__)
    return f"{ms // UNITS_MS[unit]}{unit}"
