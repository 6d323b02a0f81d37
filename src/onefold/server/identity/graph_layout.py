"""Where the parts of an identity graph stand in its picture.

What ties a person's identifiers together is a forest, so it is laid out as one: a tree grows from its middle, which is
on the left, to the right; every leaf has a row of its own, and a parent stands at the middle of its children's rows. So
nothing can overlap, and each link has room for its words. What does not fit is counted: nothing is left out unsaid.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from onefold.limits import GRAPH_NODES_MAX
from onefold.server.identity.graph import GraphAnswer, NodeAnswer, RefusedAnswer
from onefold.server.identity.tracing import BondAnswer

DEPTH_MAX = 5
"""Links from the middle of a tree to the last that is shown; a longer chain would be a ribbon."""
_LEAVES = (30, 20, 12, 8, 5, 3, 1)
"""So many leaves of one type are shown behind one identifier; the first of these with which all fits."""
_REFUSED_EACH = 5
"""Of what was refused, so many are shown behind one identifier."""


@dataclass
class Placed:
    """A box of the picture, and what it is tied to."""

    text: str
    """An identifier; of a box that counts others, what it says."""
    node: NodeAnswer | None = None
    link: BondAnswer | None = None
    """What ties it to its parent."""
    refused: RefusedAnswer | None = None
    """It is not this person's: what keeps it apart."""
    children: list["Placed"] = field(default_factory=list)
    depth: int = 0
    row: float = 0.0
    """In rows; the middle of its children's."""

    def walk(self) -> Iterator["Placed"]:
        """This box and all behind it."""
        waiting = [self]
        while waiting:
            here = waiting.pop()
            yield here
            waiting += reversed(here.children)


@dataclass
class Layout:
    """All boxes of a picture."""

    trees: list[Placed]
    rows: int
    depth: int
    """Of the deepest box."""
    left_out: int
    """Identifiers of the profile that are counted only."""

    def boxes(self) -> Iterator[Placed]:
        """All of them, from the left and from above, tree by tree."""
        for tree in self.trees:
            yield from tree.walk()


def laid_out(graph: GraphAnswer) -> Layout:
    """Place what can be shown of a graph. The same graph is placed in the same way always."""
    nodes = {node.identifier: node for node in graph.nodes}
    trees = [_tree(root, nodes, ends) for root, ends in _forest(graph, nodes)]
    shown = _prune(trees)
    _add_refused(shown, graph.refused)
    rows = 0
    for tree in shown:
        rows = _rows(tree, rows)
    visible = sum(box.node is not None for tree in shown for box in tree.walk())
    depth = max((box.depth for tree in shown for box in tree.walk()), default=0)
    return Layout(shown, rows, depth, len(nodes) - visible)


# --- the trees -------------------------------------------------------------------------------------------------------

_Ends = Mapping[str, Sequence[tuple[str, BondAnswer]]]


def _forest(graph: GraphAnswer, nodes: Mapping[str, NodeAnswer]) -> Iterator[tuple[str, _Ends]]:
    """The middle of each tree with the links of all, the largest first. Links that close a circle are left out."""
    ends: defaultdict[str, list[tuple[str, BondAnswer]]] = defaultdict(list)
    leaders = {each: each for each in nodes}

    def find(one: str) -> str:
        while leaders[one] != one:
            leaders[one] = one = leaders[leaders[one]]
        return one

    for link in graph.links:
        a, b = find(link.a), find(link.b)
        if a != b:
            leaders[b] = a
            ends[link.a].append((link.b, link))
            ends[link.b].append((link.a, link))
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for each in nodes:
        groups[find(each)].append(each)
    for members in sorted(groups.values(), key=lambda each: (-len(each), each[0])):
        yield _middle(members, ends), ends


def _middle(members: Sequence[str], ends: _Ends) -> str:
    """Of the tree's middles that which has the most links: peel its leaves until one or two are left."""
    degree = {each: len(ends.get(each, ())) for each in members}
    leaves = [each for each in members if degree[each] <= 1]
    left, last = len(members), leaves
    while left > 2:
        left -= len(leaves)
        last, leaves = leaves, []
        for leaf in last:
            for other, _ in ends.get(leaf, ()):
                degree[other] -= 1
                if degree[other] == 1:
                    leaves.append(other)
        last = leaves
    return min(last, key=lambda each: (-len(ends.get(each, ())), members.index(each)))


def _tree(root: str, nodes: Mapping[str, NodeAnswer], ends: _Ends) -> Placed:
    top = Placed(root, nodes[root])
    waiting, known = deque([top]), {root}
    while waiting:
        here = waiting.popleft()
        for other, link in ends.get(here.text, ()):
            if other not in known:
                known.add(other)
                here.children.append(Placed(other, nodes[other], link, depth=here.depth + 1))
        here.children.sort(key=_place)
        waiting += here.children
    return top


def _place(box: Placed) -> tuple[bool, str, str]:
    assert box.node is not None
    return not box.children, box.node.type, box.node.first_seen


# --- what fits -------------------------------------------------------------------------------------------------------


def _prune(trees: list[Placed]) -> list[Placed]:
    """The trees with so many leaves that all of it can be read; what is left out is counted where it was."""
    for leaves in _LEAVES:
        pruned = [_pruned(tree, leaves) for tree in trees]
        if sum(box.node is not None for tree in pruned for box in tree.walk()) <= GRAPH_NODES_MAX:
            return pruned
    return _cut(pruned, sum(1 for tree in trees for _ in tree.walk()))


def _pruned(tree: Placed, leaves: int) -> Placed:
    """A copy without what is too deep, and of its leaves of one type only so many behind each identifier."""
    copy = Placed(tree.text, tree.node, tree.link, depth=tree.depth)
    if tree.depth >= DEPTH_MAX:
        _count(copy, [box for child in tree.children for box in child.walk()])
        return copy
    seen: Counter[str] = Counter()
    more: list[Placed] = []
    for child in sorted(tree.children, key=_worth):
        assert child.node is not None
        seen[child.node.type] += not child.children
        if child.children or seen[child.node.type] <= leaves:
            copy.children.append(_pruned(child, leaves))
        else:
            more.append(child)
    copy.children.sort(key=_place)
    _count(copy, more)
    return copy


def _worth(child: Placed) -> tuple[bool, bool, bool, str]:
    """What tells most comes first: what others hang on, what has ended a profile or was said, the oldest."""
    assert child.node is not None
    told = child.link is not None and bool(child.link.merged or child.link.by)
    return not child.children, not told, not child.node.hot, child.node.first_seen


def _count(parent: Placed, left_out: Iterable[Placed]) -> None:
    """Add a box for each type of what is left out behind its parent."""
    kinds = Counter(box.node.type for box in left_out if box.node is not None)
    for kind, count in sorted(kinds.items()):
        parent.children.append(Placed(f"and {count:,} more {kind}", depth=parent.depth + 1))


def _cut(trees: Sequence[Placed], every: int) -> list[Placed]:
    """What lies nearest to the middle of each tree, the largest first, as far as it fits; one box counts the rest."""
    kept: list[Placed] = []
    left = GRAPH_NODES_MAX
    for tree in trees:
        if not left:
            break
        left -= _trim(tree, left)
        kept.append(tree)
    kept.append(Placed(f"and {every - GRAPH_NODES_MAX + left:,} more identifiers"))
    return kept


def _trim(tree: Placed, most: int) -> int:
    """Keep so many identifiers at the most, those nearest to the middle; returns how many there are."""
    keep: set[int] = set()
    waiting = deque([tree])
    while waiting and len(keep) < most:
        here = waiting.popleft()
        keep.add(id(here))
        waiting += [child for child in here.children if child.node is not None]
    for box in tree.walk():
        box.children = [child for child in box.children if id(child) in keep]
    return len(keep)


# --- what was refused, and rows ---------------------------------------------------------------------------------


def _add_refused(trees: Sequence[Placed], refused: Iterable[RefusedAnswer]) -> None:
    """Put what was refused behind the identifier that it came with; where that is not shown, behind the first."""
    if not trees:
        return
    boxes = {box.text: box for tree in trees for box in tree.walk() if box.node is not None}
    more: Counter[int] = Counter()
    parents: dict[int, Placed] = {}
    for one in refused:
        parent = boxes.get(one.a or "", trees[0])
        parents[id(parent)] = parent
        if sum(child.refused is not None for child in parent.children) < _REFUSED_EACH:
            parent.children.append(Placed(one.b, refused=one, depth=parent.depth + 1))
        else:
            more[id(parent)] += 1
    for key, count in more.items():
        parent = parents[key]
        parent.children.append(Placed(f"and {count:,} more refused", depth=parent.depth + 1))


def _rows(tree: Placed, first: int) -> int:
    """Give each leaf the next row, and each parent the middle of its children's; returns the row behind the last."""
    boxes = list(tree.walk())
    for box in boxes:
        if not box.children:
            box.row = first
            first += 1
    for box in reversed(boxes):
        if box.children:
            box.row = (box.children[0].row + box.children[-1].row) / 2
    return first
