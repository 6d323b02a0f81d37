"""What the checker says of accounts: types that are known, and mistakes with their place and what was meant."""

from pathlib import Path

import pytest

from onefold.language.reading.check import checked
from onefold.language.reading.parse import parse_expression
from onefold.language.reading.show import show
from onefold.model.definitions import Audience, Definitions, Trait
from onefold.runtime.defining.difference import difference
from onefold.runtime.defining.workspace import load_workspace, read_workspace

ACCOUNTS = (
    Trait("seats", 'count("A")'),
    Trait("latest", 'last("A", time)'),
    Trait("tier", 'case(seats > 3, "gold", "none")'),
)


def problems(expression: str, *, audience: bool = False) -> list[tuple[str, str, str]]:
    """(code, what stands there, suggestion) of each mistake in a definition of people."""
    if audience:
        made = Definitions(account_traits=ACCOUNTS, audiences=(Audience("x", expression),))
    else:
        made = Definitions(account_traits=ACCOUNTS, traits=(Trait("x", expression),))
    return [(p.code, expression[p.column : p.column + p.length], p.suggestion) for p in checked(made).problems]


@pytest.mark.parametrize(
    ("expression", "code", "at", "suggestion"),
    [
        ("account.seat > 3", "unknown_name", "account.seat", "account.seats"),
        ('account.seats == "3"', "type", '"3"', "3"),
        ("account.tier > 3", "type", "3", '"3"'),
        ("account.seats", "type", "account.seats", ""),
        ("account.latest == now()", "type", "account.latest", ""),
        ("account.traits == 3", "arguments", "account.traits", "account.traits.…"),
        ("account.seats.x == 3", "type", "account.seats.x", ""),
        ("account[0] == 3", "type", "account[0]", ""),
        ('count("A", where=account.seats > 3) > 0', "wrong_scope", "account.seats", ""),
    ],
)
def test_a_mistake_is_shown_where_it_stands(expression: str, code: str, at: str, suggestion: str) -> None:
    """With what is wrong, and the nearest name."""
    assert problems(expression, audience=True) == [(code, at, suggestion)]


def test_what_is_right_has_its_type() -> None:
    """Numbers, instants and what only data can tell."""
    traits = {"a": "account.seats + 1", "b": "account.latest", "c": "account.traits.plan", "d": "account.id"}
    made = checked(
        Definitions(account_traits=ACCOUNTS, traits=tuple(Trait(name, text) for name, text in traits.items()))
    )
    assert made.problems == []
    assert {name: made.types[name] for name in traits} == {"a": "number", "b": "instant", "c": "any", "d": "string"}
    assert made.account_types == {"seats": "number", "latest": "instant", "tier": "string"}


@pytest.mark.parametrize(
    ("name", "expression", "code"),
    [
        ("id", 'count("A")', "reserved"),
        ("traits", 'count("A")', "reserved"),
        ("seats", 'count("B")', "duplicate"),
        ("x", "account.seats > 1", "wrong_scope"),
        ("x", 'in_audience("y")', "wrong_scope"),
        ("x", 'count("A", within="this_day", timezone="person")', "wrong_scope"),
        ("x", "x + 1", "cycle"),
        ("x", "orders + 1", "unknown_name"),
    ],
)
def test_an_account_knows_its_own_events_alone(name: str, expression: str, code: str) -> None:
    """No people, no other accounts, no person's time zone; its traits have names of their own."""
    made = Definitions(
        account_traits=(*ACCOUNTS, Trait(name, expression)),
        traits=(Trait("orders", 'count("A")'),),
        audiences=(Audience("y", "orders > 1"),),
    )
    assert [(p.code, p.part, p.name) for p in checked(made).problems] == [(code, "account_trait", name)]


@pytest.mark.parametrize("text", ["account.seats", "account.traits.plan", 'account.traits["a b"].c[0]', "account.id"])
def test_it_is_shown_as_it_was_written(text: str) -> None:
    """Parsing what is shown gives the same tree."""
    node = parse_expression(text)
    assert not isinstance(node, list)
    assert show(node) == text


def test_a_workspace_says_them_under_accounts(tmp_path: Path) -> None:
    """Short and long forms, over several files; a mistake is shown at its line."""
    (tmp_path / "a.yaml").write_text("accounts:\n  traits:\n    seats: count()\n")
    (tmp_path / "b.yaml").write_text(
        "accounts:\n  traits:\n    tier:\n      description: Theirs.\n      expression: seats * 2\n"
        "traits: {plan: account.traits.plan}\n"
    )
    found = load_workspace(tmp_path)
    assert found.account_traits == (Trait("seats", "count()"), Trait("tier", "seats * 2", "Theirs."))
    assert difference(Definitions(), found) == [
        "+ account trait seats: count()",
        "+ account trait tier: seats * 2",
        "+ trait plan: account.traits.plan",
    ]
    (tmp_path / "c.yaml").write_text("accounts:\n  audiences: {x: y}\n  traits:\n    seats: count()\n    n: seat + 1\n")
    _, wrong = read_workspace(tmp_path)
    assert [(p.line, p.column, p.code, p.suggestion) for p in wrong] == [
        (2, 3, "unknown_key", ""),
        (4, 5, "duplicate", ""),
        (5, 8, "unknown_name", "seats"),
    ]
    assert "there is already a account trait" not in wrong[1].message
