"""Definitions that were applied before a word came into the language go on under the name that they have."""

import pytest

from onefold.errors import DefinitionError
from onefold.language import nodes as n
from onefold.language.reading.check import RESERVED, checked, taken_names
from onefold.language.reading.parse import CALLABLE, EVENT_NAMES, EVENT_OBJECTS
from onefold.language.sql.compile import compile_sql
from onefold.language.stream.probe import probed
from onefold.model.definitions import Definitions
from onefold.runtime.defining.versions import both, in_shadow, promoted
from onefold.runtime.folding.programs import Programs
from onefold.testing.world import World, define, track

WORDS = sorted({*CALLABLE, *EVENT_OBJECTS, *EVENT_NAMES, "step", "without"} - n.BUILTINS.keys() - {"none"})
"""`none` has always been taken."""


def stored(word: str) -> Definitions:
    """What a workspace may have defined while the word was none of the language."""
    return define({word: 'count("A")', "twice": f"{word} * 2"}, {f"{word}_fans": f"{word} > 1 and twice > 3"})


@pytest.mark.parametrize("word", WORDS)
def test_a_worker_folds_by_what_was_stored(word: str) -> None:
    """Whatever the new word is: values, audiences, explanations, SQL and shadows are as they were."""
    definitions = stored(word)
    world = World(definitions)
    world.send(track("A", user="u"), track("A", user="u"))
    world.fold()
    person = world.person("user_id:u")
    assert (person.computed, person.audiences) == ({word: 2, "twice": 4}, (f"{word}_fans",))
    assert list(probed(definitions, f"{word}_fans").probes) == [word, "twice", f"{word}_fans"]
    whole = both(definitions)
    assert compile_sql({"now": whole}).outputs
    shadow = in_shadow(define({word: 'count("A")'}), define({"other": 'count("B")'}))
    assert not both(shadow).problems
    assert promoted(shadow).traits[0].name == "other"


@pytest.mark.parametrize("word", WORDS)
def test_what_is_applied_is_told_to_rename(word: str) -> None:
    """The check of new definitions refuses the name and proposes another; of stored ones it is told."""
    named = [p for p in checked(stored(word)).problems if p.in_name]
    assert [(p.code, p.name, p.suggestion) for p in named] == [("reserved", word, f"trait_{word}")]
    assert [(p.part, p.name) for p in taken_names(stored(word))] == [("trait", word)]
    renamed = define({f"trait_{word}": 'count("A")', "twice": f"trait_{word} * 2"})
    assert not checked(renamed).problems
    assert not taken_names(renamed)


@pytest.mark.parametrize("word", WORDS)
def test_a_bare_word_is_no_name_where_nothing_is_called_so(word: str) -> None:
    """Then a function lacks its brackets, an object its field, and a field of events is none of people."""
    for stored_ in (False, True):
        (problem,) = checked(define({"x": f"{word} > 1"}), stored=stored_).problems
        assert problem.column == 0
        assert problem.code == ("arguments" if word in {*CALLABLE, *EVENT_OBJECTS} else "unknown_name")


def test_all_else_that_is_wrong_still_stops() -> None:
    """Leniency is for names alone: what cannot be computed is no definition."""
    with pytest.raises(DefinitionError, match="no trait `nowhere`"):
        Programs(lambda _: define({"count": 'count("A")', "x": "nowhere + 1"})).get(1)
    assert RESERVED
