"""The words of an expression, looked at before Python's parser sees them.

It turns away what the language does not have while the exact place and the likely intention are still known
(`&&`, `=`, `30d` without quotes, typographic quotes, `lambda`), and what could be costly to parse. What passes
is a list of tokens that holds nothing but names, numbers, plain strings and the operators of the language.
"""

import keyword
import re
import unicodedata
from typing import NamedTuple

from onefold.language.durations import parse_duration
from onefold.language.problem import Problem
from onefold.language.suggest import nearest
from onefold.limits import (
    EXPRESSION_MAX_CHARS,
    EXPRESSION_MAX_DEPTH,
    EXPRESSION_MAX_NODES,
    EXPRESSION_PROBLEMS_MAX,
)

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<string>"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')
      | (?P<number>(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[^\W\d]\w*)
      | (?P<op><=|>=|==|!=|[-+*/%<>()\[\]{},.=])
      | (?P<bad>&&|\|\||\*\*|//|<>|:=|<<|>>|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"""\\(?:[\\"'nrtbf]
      |(?P<code>x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})
      |(?P<bad>.))""",
    re.VERBOSE | re.DOTALL,
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_WORDS = {"and", "or", "not", "in", "if", "else", "True", "False", "None"}
_OPERATORS = ("and", "or", "not", "in", "if", "else")
_REFUSED_WORDS = {
    "is": ("the language has no `is`", "=="),
    "for": ("there are no loops: aggregates go over the events", ""),
    "lambda": ("there are no functions of your own: make a trait of a part and use its name", ""),
}
_REFUSED_SIGNS = {
    "&&": ("`&&` is written in words", "and"), "&": ("there are no bit operations", "and"),
    "||": ("`||` is written in words", "or"), "|": ("there are no bit operations", "or"),
    "!": ("`!` is written in words", "not"), "<>": ("`<>` is written otherwise", "!="),
    "**": ("there are no powers", ""), "//": ("there is no whole division", "/"),
    ":=": ("values are not given names here: make a trait of the part", ""),
    ";": ("an expression is one value, without `;`", ""), "~": ("there are no bit operations", "not"),
    "^": ("there are no bit operations", ""), "@": ("`@` stands only inside quotes", ""),
    "#": ("a remark cannot stand in an expression: use a YAML comment or `description`", ""),
    "“": ("quotes must be straight", '"'), "”": ("quotes must be straight", '"'), "„": ("quotes must be straight", '"'),
    "‘": ("quotes must be straight", "'"), "’": ("quotes must be straight", "'"),  # noqa: RUF001
    '"': ("this quote is never closed", ""), "'": ("this quote is never closed", ""),
}  # fmt: skip
_CLOSES = {")": "(", "]": "[", "}": "{"}
_NESTING_MAX = 2 * EXPRESSION_MAX_DEPTH
_TOKENS_MAX = 6 * EXPRESSION_MAX_NODES


class Token(NamedTuple):
    """One word: its kind (`string`, `number`, `name`, `op`), its text, its column."""

    kind: str
    text: str
    column: int


def tokens(text: str) -> tuple[list[Token], list[Problem]]:
    """The words of the text, and what is wrong with them: where there are problems, nothing may be parsed."""
    if len(text) > EXPRESSION_MAX_CHARS:
        message = f"an expression has at most {EXPRESSION_MAX_CHARS} characters: make a trait of a part"
        return [], [Problem("too_large", message, EXPRESSION_MAX_CHARS, 1)]
    if not text.strip():
        return [], [Problem("syntax", "the expression is empty", 0, 0)]
    found: list[Token] = []
    problems: list[Problem] = []
    for match in _TOKEN.finditer(text):
        token = Token(match.lastgroup or "bad", match[0], match.start())
        if token.kind == "space":
            continue
        problems += _wrong(token, found)
        if len(problems) > EXPRESSION_PROBLEMS_MAX:
            return found, problems[:EXPRESSION_PROBLEMS_MAX]
        found.append(token)
    problems += _brackets(found)
    if len(found) > _TOKENS_MAX:
        problems.append(Problem("too_large", "the expression is too large: make a trait of a part", 0, 1))
    return found, problems


def one_line(text: str) -> str:
    """The text with its line ends as spaces, every character in its column, for a parser that reads one line."""
    return text.translate({ord("\n"): " ", ord("\r"): " ", ord("\t"): " "})


def _wrong(token: Token, before: list[Token]) -> list[Problem]:
    last = before[-1] if before else Token("", "", -1)
    if token.kind == "string":
        return _wrong_string(token, last) or _no_operator(token, last)
    if token.kind == "name":
        return _wrong_name(token, last) or _no_operator(token, last)
    if token.kind == "number":
        return _no_operator(token, last)
    if token.kind == "bad":
        return [_wrong_sign(token)]
    if token.text == "=" and not (last.kind == "name" and len(before) > 1 and before[-2].text in ("(", ",")):
        return [Problem("syntax", "`=` does not compare", token.column, 1, "==")]
    if token.text in "{}":
        return [Problem("unsupported", "there are no braces: a choice of values is `in (…)`", token.column)]
    return []


def _no_operator(token: Token, last: Token) -> list[Problem]:
    """Two values beside each other; `andd` for `and` looks like that."""
    ends = last.kind in ("string", "number") or last.text in (")", "]")
    ends = ends or (last.kind == "name" and last.text not in _OPERATORS)
    if not ends or token.text in _OPERATORS:
        return []
    for word in (token, last):
        if word.kind == "name" and (near := nearest(word.text, _OPERATORS)):
            return [Problem("syntax", f"`{word.text}` joins nothing", word.column, len(word.text), near)]
    shown = token.text if len(token.text) <= 40 else "this"
    return [Problem("syntax", f"an operator or a comma is missing before `{shown}`", token.column, len(token.text))]


def _wrong_string(token: Token, last: Token) -> list[Problem]:
    touches = last.column + len(last.text) == token.column
    if last.kind == "string":
        return [Problem("syntax", "two strings beside each other: a comma is missing", token.column, len(token.text))]
    if last.kind == "name" and touches and last.text not in _WORDS:
        message = f"strings have no prefix: leave out the `{last.text}`"
        return [Problem("unsupported", message, last.column, len(last.text))]
    if match := _CONTROL.search(token.text):
        return [Problem("syntax", "a control character stands in this string", token.column + match.start())]
    problems = []
    for escape in _ESCAPE.finditer(token.text):
        length = len(escape[0])
        if escape["bad"]:
            message = f"`{escape[0]}` means nothing: a backslash itself is written twice"
            problems.append(Problem("syntax", message, token.column + escape.start(), length))
        elif escape["code"] and not _is_character(int(escape["code"][1:], 16)):
            message = f"`{escape[0]}` is no character"
            problems.append(Problem("syntax", message, token.column + escape.start(), length))
    return problems


def _is_character(number: int) -> bool:
    return number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF


def _wrong_name(token: Token, last: Token) -> list[Problem]:
    word, column = token.text, token.column
    if last.kind == "number" and last.column + len(last.text) == column:
        both = last.text + word
        quoted = f'"{both}"' if parse_duration(both) else ""
        message = "a duration stands in quotes" if quoted else f"`{both}` is neither a number nor a name"
        return [Problem("syntax", message, last.column, len(both), quoted)]
    if last.text == ".":
        if keyword.iskeyword(word) or unicodedata.normalize("NFKC", word) != word:
            return [
                Problem("syntax", f"`{word}` must be in brackets and quotes here", column, len(word), f'["{word}"]')
            ]
        return []
    if word.lower() in _WORDS and word not in _WORDS:
        return [Problem("syntax", f"`{word}` is written small", column, len(word), word.lower())]
    if word in _REFUSED_WORDS:
        message, instead = _REFUSED_WORDS[word]
        return [Problem("unsupported", message, column, len(word), instead)]
    if keyword.iskeyword(word) and word not in _WORDS:
        return [Problem("unsupported", f"`{word}` is not part of the language", column, len(word))]
    return []


def _wrong_sign(token: Token) -> Problem:
    shown = token.text if token.text.isprintable() else f"U+{ord(token.text):04X}"
    fallback = (f"`{shown}` is not part of the language", "")
    message, instead = _REFUSED_SIGNS.get(token.text, fallback)
    code = "syntax" if token.text in "\"'“”„‘’" else "unsupported"  # noqa: RUF001
    return Problem(code, message, token.column, len(token.text), instead)  # type: ignore[arg-type]


def _brackets(found: list[Token]) -> list[Problem]:
    """The first bracket that is not closed, or closes nothing, or is too deep."""
    open_: list[Token] = []
    for token in found:
        if token.kind != "op":
            continue
        if token.text in "([{":
            open_.append(token)
            if len(open_) > _NESTING_MAX:
                return [Problem("too_large", "too many brackets inside each other", token.column)]
        elif token.text in _CLOSES and (not open_ or open_.pop().text != _CLOSES[token.text]):
            return [Problem("syntax", f"this `{token.text}` closes nothing", token.column)]
    return [Problem("syntax", f"this `{open_[-1].text}` is never closed", open_[-1].column)] if open_ else []
