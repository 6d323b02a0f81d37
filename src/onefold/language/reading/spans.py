"""Where the parts of an expression stand in its text: a node says where it begins, its words say where it ends."""

from itertools import accumulate

from onefold.language import nodes as n
from onefold.language.reading.lexis import tokens

_OPENING, _CLOSING = ("(", "["), (")", "]")


class Spans:
    """The words of one expression, which has been parsed without a problem."""

    def __init__(self, text: str) -> None:
        self._words, problems = tokens(text)
        assert not problems, problems
        self._at = {word.column: index for index, word in enumerate(self._words)}
        steps = [(word.text in _OPENING) - (word.text in _CLOSING) if word.kind == "op" else 0 for word in self._words]
        self._depth = [0, *accumulate(steps)]
        """How many brackets are open before each word."""

    def end(self, node: n.Node) -> int:
        """The column behind the last character of this part."""
        last = self._words[self._behind(node) - 1]
        return last.column + len(last.text)

    def _behind(self, node: n.Node) -> int:
        """The index of the first word behind a part."""
        first = self._at[node.column]
        behind = max([self._behind_word(first), *map(self._behind, n.children(node))])
        if isinstance(node, n.In):
            behind = self._closed(next(i for i in range(behind, len(self._words)) if self._words[i].text == "in") + 1)
        while self._depth[behind] > self._depth[first]:
            behind += 1
        return behind

    def _behind_word(self, first: int) -> int:
        """Behind a value, a path, a call, or a part in brackets; a sign takes the number behind it along."""
        if self._words[first].text == "-" and self._words[first + 1].kind == "number":
            return first + 2
        behind = self._closed(first) if self._words[first].text in _OPENING else first + 1
        while behind < len(self._words) and self._words[behind].text in (".", *_OPENING):
            behind = behind + 2 if self._words[behind].text == "." else self._closed(behind)
        return behind

    def _closed(self, opening: int) -> int:
        """Behind the bracket that closes this one."""
        behind = opening + 1
        while self._depth[behind] > self._depth[opening]:
            behind += 1
        return behind
