"""Deliver roles that follow each other over one book: whatever becomes of them, what is owed comes."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from onefold.testing.simulation.deliver_roles import STEPS, Life, live, with_life

OFTEN = ("happen", "happen", "happen", "calm", "calm", "start", "start", "back")


@settings(max_examples=25, deadline=None)
@example("start hang happen calm stop catalog_away start stop back")
@example("start hang happen calm disable calm kill enable ok state_away start calm")
@example("start calm hang happen calm remove calm stop start calm stop restore ok")
@example("start calm remove long long happen calm calm restore calm kill start long")
@example("start hang happen calm move old_gone calm happen calm")
@example("remove late start calm happen calm calm")
@example("start calm book_away calm happen replay long")
@example("start calm hang happen calm remove calm kill start calm restore ok")
@example("start refuse happen calm book_away remove calm restore calm back replay book_away calm")
@given(st.lists(st.sampled_from([*STEPS, *OFTEN]), max_size=40).map(" ".join))
def test_whatever_becomes_of_roles_and_engines_nothing_is_lost_or_doubled(steps: str) -> None:
    """What is owed comes, in order where nothing was sent again, once where it was settled; the books close."""
    live(steps)


def test_a_replay_is_done_only_once_the_destination_is_back_for_good() -> None:
    """Killed just after that, where nothing was parked that was meant: it is still not taken for gone."""

    async def run(life: Life) -> None:
        await life.take("start gone happen calm")
        assert life.book is not None
        assert life.book.standings()["crm"].off
        life.book.replay("crm", ["none"])
        life.book.ends_with_request = True
        await life.take("ok calm kill start calm")
        assert life.book is not None
        assert not life.book.standings()["crm"].off

    with_life(run)
