"""The `identity:` section: what it says, and every mistake where it stands."""

import json
from pathlib import Path

import pytest
from msgspec import structs

from onefold.errors import InvalidRequest
from onefold.limits import HOT_OTHERS
from onefold.model.definitions import Definitions, Trait
from onefold.model.identity import SHIPPED_BLOCKED, SHIPPED_PATTERNS, IdentifierType, Identity, Matching, TraitRule
from onefold.runtime.defining.difference import difference
from onefold.runtime.defining.versions import in_shadow
from onefold.runtime.defining.workspace import read_workspace

CARD = ("properties.card", "traits.loyalty.card")


def read(path: Path, text: str) -> tuple[Identity, list[tuple[int, int, str, str]]]:
    """The rules, and mistakes as (line, column, code, suggestion)."""
    file = path / "identity.yaml"
    file.write_text(text)
    definitions, found = read_workspace(file)
    return definitions.identity, [(each.line, each.column, each.code, each.suggestion) for each in found]


def test_all_that_can_be_said(tmp_path: Path) -> None:
    """Types keep their order, values are compared without case, and what is not said is left to the policy."""
    text = """
identity:
  policy: segment
  shipped: false
  types:
    user_id: {unique: true}
    card:
      from: [properties.card, traits.loyalty.card]
      normalise: digits
      limit: 3 per year
      blocked: [N/A, "/^9+$/"]
    email: {limit: 2, unless: [birthday, name]}
    anonymous_id: {soft: true}
    crm_id:
  blocked: ["Demo", "/^0+$/"]
  hot: never
  traits:
    points: sum
    plan: {keep: source-order, sources: [crm, shop]}
  matching: {link: 0.98, review: 0.7}
"""
    rules, mistakes = read(tmp_path, text)
    assert mistakes == []
    assert rules == Identity(
        "segment",
        (
            IdentifierType("user_id", unique=True),
            IdentifierType("card", CARD, "digits", ("n/a",), ("^9+$",), 3, "year"),
            IdentifierType("email", limit=2, unless=("name", "birthday")),
            IdentifierType("anonymous_id", soft=True),
            IdentifierType("crm_id"),
        ),
        ("demo",),
        ("^0+$",),
        0,
        (TraitRule("points", "sum"), TraitRule("plan", "source-order", ("crm", "shop"))),
        Matching(0.98, 0.7),
    )


def test_the_shipped_list_is_there_unless_it_is_refused(tmp_path: Path) -> None:
    """It is written into the definitions, so that a later list changes no log that is folded again."""
    rules, mistakes = read(tmp_path, "identity:\n  blocked: [demo]\n")
    assert mistakes == []
    assert (rules.blocked, rules.patterns) == ((*SHIPPED_BLOCKED, "demo"), SHIPPED_PATTERNS)
    assert (rules.policy, rules.hot) == ("merge-any", HOT_OTHERS)


@pytest.mark.parametrize(
    ("line", "place", "code", "suggestion"),
    [
        ("polcy: merge-any", (2, 3), "unknown_key", "policy"),
        ("policy: segmnt", (2, 11), "value", "segment"),
        ("types: {card: {from: [propertys.card]}}", (2, 25), "value", "properties.card"),
        ("types: {card: {from: [properties]}}", (2, 25), "value", ""),
        ("types: {card: {from: [userId.x]}}", (2, 25), "value", "userId"),
        ("types: {card: {normalise: digit}}", (2, 29), "value", "digits"),
        ("types: {card: {limit: 3 per yaer}}", (2, 25), "value", "3 per year"),
        ("types: {card: {limit: many}}", (2, 25), "value", ""),
        ("types: {card: {limit: 5000}}", (2, 25), "value", ""),
        ("types: {card: {uniqe: true}}", (2, 18), "unknown_key", "unique"),
        ("types: {card: {unique: yes}}", (2, 26), "value", ""),
        ("types: {card: {unique: true, limit: 3}}", (2, 11), "value", ""),
        ("types: {card: {login: true}}", (2, 18), "value", ""),
        ("types: {card: {blocked: ['/(/']}}", (2, 28), "value", ""),
        ("types: {phone: {unless: [nmae]}}", (2, 28), "value", "name"),
        ("types: {My Card: {soft: true}}", (2, 11), "name", "my_card"),
        ("matching: {lnik: 0.9}", (2, 14), "unknown_key", "link"),
        ("matching: {link: 0.3}", (2, 20), "value", ""),
        ("matching: {review: 2}", (2, 22), "value", ""),
        ("matching: {link: 0.6, review: 0.8}", (2, 13), "value", ""),
        ("hot: 1", (2, 8), "value", ""),
        ("shipped: no", (2, 12), "value", ""),
        ("traits: {points: summ}", (2, 20), "value", "sum"),
        ("traits: {plan: {keep: source-order}}", (2, 12), "value", "plan: {keep: source-order, sources: [crm]}"),
        ("traits: {plan: {kep: sum}}", (2, 19), "unknown_key", "keep"),
        ("blocked: {a: b}", (2, 12), "value", ""),
    ],
)
def test_mistakes_are_found_where_they_stand(
    tmp_path: Path, line: str, place: tuple[int, int], code: str, suggestion: str
) -> None:
    """Line, column, what is wrong, and what was probably meant."""
    _, mistakes = read(tmp_path, f"identity:\n  {line}\n")
    assert mistakes[:1] == [(*place, code, suggestion)]


@pytest.mark.parametrize(
    "line",
    [
        "policy: adobe-graph-linking\n  types: {email: {limit: 3}}",
        "policy: mparticle-link\n  types: {email: {soft: true}}",
        "policy: mparticle-link\n  types: {email: {unless: [name]}}",
        "policy: mparticle-default\n  types: {email: {login: true}}",
        "policy: mparticle-best-match\n  types: {email: {unique: true}}",
    ],
)
def test_nothing_that_is_said_is_without_effect(tmp_path: Path, line: str) -> None:
    """What a policy does not know is a mistake, not a silence."""
    _, mistakes = read(tmp_path, f"identity:\n  {line}\n")
    assert [code for _, _, code, _ in mistakes] == ["value"]


def test_a_workspace_says_it_once(tmp_path: Path) -> None:
    """Two files that both say who is one person contradict each other."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("identity: {policy: segment}\n")
    _, found = read_workspace(tmp_path)
    assert [(each.file, each.line, each.code) for each in found] == [("b.yaml", 1, "duplicate")]


def test_what_differs_is_told_line_by_line() -> None:
    """`onefold apply` shows each type, trait and value that is new, gone or different."""
    old = Definitions(identity=Identity(types=(IdentifierType("email"),), blocked=("a",), hot=250))
    new = Definitions(
        identity=Identity(
            "segment", (IdentifierType("card", limit=3, per="year"), IdentifierType("email", soft=True)), ("b",),
            traits=(TraitRule("plan", "sum"),),
        )
    )  # fmt: skip
    assert difference(old, new) == [
        "~ identity policy merge-any → segment",
        "+ identity type card: limit 3 per year",
        "~ identity type email: as built in → soft true",
        "+ identity trait plan: keep sum",
        "~ identity priority card, email",
        "+ identity blocked b",
        "- identity blocked a",
        "~ identity hot 250 → never",
    ]


def test_rules_of_identity_do_not_run_in_shadow() -> None:
    """An event is of one person, so a candidate that says something else of identity is refused."""
    live = Definitions(traits=(Trait("n", 'count("A")'),))
    candidate = structs.replace(live, identity=Identity("segment"))
    with pytest.raises(InvalidRequest, match="identity"):
        in_shadow(live, candidate)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\x07b"])
def test_names_that_no_decoder_takes_are_refused(tmp_path: Path, name: str) -> None:
    """Such a field would end the worker that reads it; below the first name, and in traits, any name is read."""
    fields = f"properties.{name}", f"context.{name}", f"properties.card.{name}", f"traits.{name}"
    listed = ", ".join(json.dumps(field) for field in fields)
    identity, found = read(tmp_path, f"identity:\n  types:\n    card: {{from: [{listed}]}}\n")
    assert [code for _, _, code, _ in found] == ["value", "value"]
    assert identity.types == () or identity.types[-1].fields == fields[2:]
