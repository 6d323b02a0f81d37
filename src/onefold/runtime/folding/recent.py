"""A bounded memory of what was used lately: two generations, of which the older is forgotten whole."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps at least the last `size` and at most `2 * size` entries used."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._young or key in self._old

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: K) -> V | None:
        """The value, which counts as used now."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember a value."""
        self._young[key] = value
        if len(self._young) > self._size:
            self._old, self._young = self._young, {}

    def forget(self, key: K) -> V | None:
        """Forget one; returns what it was."""
        old = self._old.pop(key, None)
        return self._young.pop(key, old)

    def clear(self) -> None:
        """Forget all."""
        self._young.clear()
        self._old.clear()
