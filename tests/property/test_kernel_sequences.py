"""The kernel's sequences against Python's: the same bytes after each event, the same values, the same instants."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.language import nodes as n
from onefold.language.keeping.sequences import Chain, chain_of, same_key
from onefold.limits import NEVER_MS

kernel = pytest.importorskip("onefold_kernel")

START_MS = 1_750_000_000_000
WITHINS_MS = (None, None, 1, 1_000, 60_000, 7_200_000)


class Profile:
    """What a value arms."""

    due_ms = NEVER_MS


@st.composite
def sequences(draw: st.DrawFn) -> n.Sequence:
    """Any sequence: up to eight steps, negated ones between and at the end."""
    negated = draw(st.lists(st.booleans(), min_size=1, max_size=7))
    silence = st.sampled_from((1, 1_000, 60_000))
    steps = [n.Step(0, "A", within_ms=draw(st.sampled_from(WITHINS_MS)))]
    for i, is_negated in enumerate(negated):
        last = is_negated and all(negated[i:])
        within_ms = draw(silence) if last else None if is_negated else draw(st.sampled_from(WITHINS_MS))
        steps.append(n.Step(0, "A", within_ms=within_ms, negated=is_negated))
    same = n.Field(0, ("properties", "id")) if draw(st.booleans()) else None
    within_ms, during_ms = draw(st.sampled_from(WITHINS_MS)), draw(st.sampled_from((None, None, 60_000, 86_400_000)))
    return n.Sequence(0, tuple(steps), same, within_ms, during_ms, counted=draw(st.booleans()))


def described(node: n.Sequence, *, counted: bool) -> tuple[str, dict[str, Any]]:
    """The sequence as the kernel is told of it."""
    params = {"steps": [[step.within_ms, step.negated] for step in node.steps], "same": node.same is not None,
              "within_ms": node.within_ms, "during_ms": node.during_ms, "counted": counted}  # fmt: skip
    return "sequence_count" if node.counted else "sequence", params


class Both:
    """One slot, kept by Python and by the kernel."""

    def __init__(self, node: n.Sequence, *, counted: bool) -> None:
        self._node = node
        self._counted = counted or node.counted
        self._chain: Chain = chain_of(node, counted=self._counted)
        self._slots: dict[str, Any] = {}
        self._profile = Profile()
        self._slot = kernel.Slot(*described(node, counted=counted), NEVER_MS)

    def put(self, value: Any, bits: int, at_ms: int, now_ms: int) -> None:
        """An event in both, as the generated code does it."""
        during_ms = self._node.during_ms
        if during_ms is not None and at_ms <= now_ms - during_ms:
            return
        changed = self._slot.put(value, bits, at_ms, b"", now_ms)
        same = same_key(value) if self._node.same is not None else 0
        if same is not None:
            if during_ms is not None:
                self._profile.due_ms = min(self._profile.due_ms, at_ms + during_ms)
            assert changed == self._chain.put(self._slots, "k", at_ms, bits, same)
        else:
            assert not changed
        assert self._slot.state() == self.stored()

    def stored(self) -> bytes | None:
        """What Python stores."""
        return msgspec.msgpack.encode(self._slots["k"]) if self._slots else None

    def judge(self, now_ms: int) -> None:
        """The value, and the instant that it moves at."""
        value = self._chain.count if self._node.counted else self._chain.happened
        expected = value(self._slots.get("k"), now_ms, self._profile)
        assert self._slot.value(now_ms) == expected
        assert type(self._slot.value(now_ms)) is type(expected)
        assert self._slot.due_ms == self._profile.due_ms

    def turn(self, now_ms: int) -> None:
        """Time takes out what it does: in both, or, where it is left to Python, both go on from what is stored then."""
        if (state := self._slots.get("k")) is None:
            return
        changed = self._chain.expire(state, now_ms) if self._chain.expires else False
        empty = self._chain.is_empty(state)
        if self._node.during_ms is None or self._node.same is None:
            due_ms = self._chain.due_ms(state) if self._chain.expires else NEVER_MS
            assert self._slot.expire(now_ms) == (changed, empty, due_ms)
            assert empty or self._slot.state() == self.stored()
        elif empty:
            self._slot = kernel.Slot(*described(self._node, counted=self._counted), NEVER_MS)
        else:
            self._slot.load(self.stored())
        if empty:
            del self._slots["k"]
        self._slot.due_ms = self._profile.due_ms = NEVER_MS


def _value(chance: random.Random) -> Any:
    return chance.choice(("a", "b", 1, 1.0, True, None, ["a"], 2.5, 1 << 60, "ü" * 40))


@settings(max_examples=150, deadline=None)
@given(node=sequences(), seed=st.integers(0, 1 << 30), size=st.sampled_from((3, 20, 60, 700)), counted=st.booleans())
def test_the_kernel_leaves_what_python_leaves(node: n.Sequence, seed: int, size: int, *, counted: bool) -> None:
    """In order, late, at one instant, of several steps at once, and past what is kept."""
    both, chance = Both(node, counted=counted), random.Random(seed)
    paces = chance.choice(((0, 1, 1_000), (1, 1_000, 60_000, 3_600_000), (0, 0, 1)))
    now_ms = START_MS
    for _ in range(size):
        now_ms += chance.choice(paces)
        late_ms = chance.choice((0, 1, 1_000, 60_000, 7_200_000)) if chance.random() < 0.3 else 0
        bits = chance.randrange(1, 1 << len(node.steps)) & chance.choice((255, 1 << chance.randrange(len(node.steps))))
        if bits:
            both.put(_value(chance), bits, now_ms - late_ms, now_ms)
        if chance.random() < 0.2:
            both.judge(now_ms + chance.choice((0, 1, 60_000)))
        if chance.random() < 0.05:
            both.turn(now_ms)
    both.judge(now_ms)
