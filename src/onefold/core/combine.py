"""Two steps as one: the changes of batches that follow one another, so that many share a commit."""

from onefold.model.changes import Changes


def combine(first: Changes, second: Changes) -> Changes:
    """What both did, in their order; `first` is reused. `second` must have been computed on top of `first`."""
    assert first.partition == second.partition
    first.cursor = second.cursor
    first.profiles |= second.profiles
    for gone in second.absorbed:
        first.profiles.pop(gone, None)
    first.identifiers |= second.identifiers
    first.absorbed |= second.absorbed
    for profile, (before, after) in second.due.items():
        armed, _ = first.due.get(profile, (before, after))
        first.due[profile] = (armed, after)
    first.members += second.members
    first.messages |= second.messages
    first.effects += second.effects
    first.quarantined += second.quarantined
    for name, n in second.counts.items():
        first.counts[name] = first.counts.get(name, 0) + n
    return first
