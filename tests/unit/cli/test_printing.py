"""What strangers wrote is shown to an operator, and obeyed by nobody: neither by the terminal nor by rich."""

import pytest
from rich.text import Text

from onefold.cli.events import line
from onefold.cli.printing import plain
from onefold.cli.profile import tree
from onefold.server.operating.tail import Shown
from onefold.server.people.profile_answer import IdentifierAnswer, ProfileAnswer

NOW = "2026-01-02T03:04:05.678Z"
HOSTILE = "\x1b[2J\x1b]0;x\x07\x9b2J[/]\n[bold]\u202e."
SEEN = r"\x1b[2J\x1b]0;x\x07\x9b2J[/]\x0a[bold]\u202e."


def test_what_is_hostile_is_shown_as_it_is_written() -> None:
    """Controls, ends of lines, directions of writing and markup are visible, and nothing more."""
    assert Text.from_markup(plain(HOSTILE)).plain == SEEN


@pytest.mark.parametrize("kind", ["admitted", "merged", "link_refused", "changed", "rejected"])
def test_the_tail_is_one_line_an_effect(kind: str) -> None:
    """No sender can forge a line of the tail, or reach the terminal behind it."""
    shown = Shown(kind, "id", NOW, name=HOSTILE, reason=HOSTILE, a=HOSTILE, b=HOSTILE, traits={HOSTILE: HOSTILE})
    assert SEEN in Text.from_markup(line(shown)).plain


def test_a_profile_shows_any_namespace() -> None:
    """A namespace is the sender's choice as well."""
    answer = ProfileAnswer("prf_1", NOW, NOW, NOW, NOW, 0, 1, identifiers={HOSTILE: [IdentifierAnswer(HOSTILE, NOW)]})
    (identifiers,) = tree(answer, []).children
    assert Text.from_markup(str(identifiers.children[0].label)).plain.startswith(f"{SEEN}:{SEEN}")
