"""What happens to people, told as short stories over a platform in memory."""

import msgspec

from onefold.limits import DAY_MS, HOUR_MS, MINUTE_MS
from onefold.model.effect import Changed, Created, Entered, Left, LinkRefused, Merged, RejectedEvent
from onefold.model.profile import decode, encode
from onefold.model.rules import Rules
from onefold.testing.world import START_MS, World, define, identify, track


def test_anonymous_visits_become_the_users_own_at_login() -> None:
    """A login joins what was seen before it to the user, and the link keeps its evidence."""
    world = World(define({"views": 'count("Product Viewed")'}))
    world.send(track("Product Viewed", anonymous="a1"), track("Product Viewed", anonymous="a1"))
    world.send(identify(user=42, anonymous="a1", traits={"email": " Ann@Example.COM ", "plan": "pro"}))
    world.fold()
    person = world.person("email:ann@example.com")
    assert person.identifiers == ("anonymous_id:a1", "email:ann@example.com", "user_id:42")
    assert person.computed == {"views": 2}
    assert person.declared == {"email": " Ann@Example.COM ", "plan": "pro"}
    links = world.profile("user_id:42").links
    assert {(link.a, link.b, link.rule) for link in links} == {
        ("user_id:42", "email:ann@example.com", "shared_event"),
        ("user_id:42", "anonymous_id:a1", "shared_event"),
    }


def test_two_profiles_merge_when_one_event_names_both() -> None:
    """The older profile survives, has everything of both, and the merge is an effect."""
    world = World(define({"n": 'count("A")', "s": 'sum("A", properties.v)'}))
    world.send(track("A", user="u", properties={"v": 1.5}))
    world.send(track("A", anonymous="a", properties={"v": 2}))
    world.send(track("A", user="u", anonymous="a", properties={"v": 4}))
    world.fold()
    assert len(world.people()) == 1
    assert world.person("anonymous_id:a").computed == {"n": 3, "s": 7.5}
    merged = [effect for effect in world.effects() if isinstance(effect, Merged)]
    assert [(effect.a, effect.b) for effect in merged] == [("user_id:u", "anonymous_id:a")]
    assert sum(isinstance(effect, Created) for effect in world.effects()) == 2


def test_two_user_ids_never_become_one_person() -> None:
    """An event that would join two user ids goes to its own user; the refused link is an effect."""
    world = World(define({"n": 'count("A")'}))
    world.send(track("A", user="ann", anonymous="tablet"))
    world.send(track("A", user="bob", anonymous="tablet"))
    world.fold()
    assert world.person("user_id:ann").identifiers == ("anonymous_id:tablet", "user_id:ann")
    assert world.person("user_id:bob") == world.person("user_id:bob")._replace(computed={"n": 1})
    refused = [effect for effect in world.effects() if isinstance(effect, LinkRefused)]
    assert [(effect.a, effect.b, effect.rule) for effect in refused] == [
        ("user_id:bob", "anonymous_id:tablet", "one_user_id")
    ]


def test_a_duplicate_changes_nothing_within_the_window_and_counts_after_it() -> None:
    """The same messageId of the same source counts once within the dedupe window."""
    world = World(define({"n": 'count("A")'}), rules=Rules(dedupe_window_ms=DAY_MS))
    world.send(track("A", user="u", message="m1"), track("A", user="u", message="m1"))
    world.fold()
    world.pass_time(DAY_MS)
    world.send(track("A", user="u", message="m1"))
    world.send(track("A", user="u", message="m1"), source="app")
    world.fold()
    assert world.person("user_id:u").computed == {"n": 2}
    world.pass_time(1)
    world.send(track("A", user="u", message="m1"))
    world.fold()
    assert world.person("user_id:u").computed == {"n": 3}
    counts = world.state.counts()
    assert (counts["received"], counts["admitted"], counts["duplicate"]) == (5, 3, 2)


def test_a_window_that_grows_does_not_bring_back_what_was_forgotten() -> None:
    """New rules hold for what comes after them: what a shorter window has let go of by then stays unknown."""
    world = World(define({"n": 'count("A")'}), rules=Rules(dedupe_window_ms=HOUR_MS))
    world.send(track("A", user="u", message="old"))
    world.pass_time(2 * HOUR_MS)
    world.send(track("A", user="u", message="new"))
    world.rule(Rules(dedupe_window_ms=DAY_MS))
    world.pass_time(3 * HOUR_MS)
    world.send(track("A", user="u", message="old"), track("A", user="u", message="new"))
    world.fold()
    assert world.person("user_id:u").computed == {"n": 3}
    world.rule(Rules(dedupe_window_ms=HOUR_MS))
    world.pass_time(2 * HOUR_MS)
    world.send(track("A", user="u", message="old"), track("A", user="u", message="new"))
    world.fold()
    assert world.person("user_id:u").computed == {"n": 5}


def test_rules_hold_from_their_entry_on() -> None:
    """Before the first of them a log is folded under the defaults; each holds until the next."""
    world = World()
    event = identify(anonymous="a", traits={"phone": "030 1234567"})
    for rules in (None, Rules(phone_region="DE"), Rules(frozenset({"a"}))):
        if rules is not None:
            world.rule(rules)
        world.send(event)
        world.fold()
    assert [person.identifiers for person in world.people()] == [("anonymous_id:a", "phone:+49301234567")]
    assert world.state.counts()["quarantined.no_identifier"] == 1


def test_an_event_of_nobody_rests_in_quarantine() -> None:
    """An event whose every identifier is blocked is kept with the reason, and is counted."""
    world = World(rules=Rules(blocked=frozenset({"null"})))
    world.send(track("A", anonymous="NULL"), track("A", user="u"))
    world.fold()
    assert [(q.source, q.position & 0xFFFF) for q in world.state.quarantined((0, -1), 10)] == [("web", 0)]
    counts = world.state.counts()
    assert counts["received"] == counts["admitted"] + counts["quarantined.no_identifier"] == 2
    assert any(isinstance(effect, RejectedEvent) for effect in world.effects())


def test_people_leave_an_audience_by_time_alone() -> None:
    """A window's end is an effect of its own, at its very millisecond, with nobody sending anything."""
    world = World(
        define(
            {"adds": 'count("Product Added", within="1h")'},
            {"cart": 'count("Product Added", within="1h") > 0 and count("Order Completed", within="1h") == 0'},
        )
    )
    world.send(track("Product Added", user="u"))
    world.pass_time(10 * MINUTE_MS)
    world.send(track("Product Added", user="u"))
    world.pass_time(HOUR_MS - 1)
    assert world.person("user_id:u").audiences == ("cart",)
    assert world.person("user_id:u").computed == {"adds": 1}
    world.pass_time(1)
    assert world.person("user_id:u").audiences == ()
    assert world.person("user_id:u").computed == {"adds": 0}
    left = [effect for effect in world.effects() if isinstance(effect, Left)]
    assert [(effect.at_ms - START_MS, effect.reason) for effect in left] == [(70 * MINUTE_MS, "time")]
    assert world.state.sizes().get("cart", 0) == 0


def test_silence_is_noticed_when_it_has_lasted_long_enough() -> None:
    """A comparison with a moving instant turns by itself, and turns back with the next event."""
    world = World(define({}, {"win_back": 'last_seen < ago("60d")'}))
    world.send(track("A", user="u"))
    world.pass_time(60 * DAY_MS)
    assert world.person("user_id:u").audiences == ()
    world.pass_time(1)
    assert world.person("user_id:u").audiences == ("win_back",)
    world.send(track("A", user="u"))
    world.fold()
    assert world.person("user_id:u").audiences == ()


def test_traits_may_come_in_the_context() -> None:
    """RudderStack's SDKs put the traits of an identify into its context; those beside it win."""
    world = World()
    world.send(identify(user="u", context={"traits": {"plan": "pro", "city": "Ulm"}}, traits={"city": "Bonn"}))
    world.fold()
    assert world.person("user_id:u").declared == {"city": "Bonn", "plan": "pro"}


def test_fields_of_any_name_can_be_asked_for() -> None:
    """A property whose name is no plain word is read like any other."""
    world = World(define({"s": 'sum("A", properties["order total"])', "c": 'last("A", properties["größe"])'}))
    world.send(track("A", user="u", properties={"order total": 3, "größe": "XL"}))
    world.fold()
    assert world.person("user_id:u").computed == {"c": "XL", "s": 3}


def test_new_definitions_reach_everybody() -> None:
    """A new audience finds those who already belong to it, an old one that is gone is left, and state goes on."""
    world = World(define({"n": 'count("A")'}, {"some": "n > 0"}))
    world.send(track("A", user="u"), identify(user="v", traits={"plan": "pro"}))
    world.fold()
    world.define(define({"n": 'count("A")'}, {"pros": 'traits.plan == "pro"', "counted": "n == 1"}, version=2))
    world.fold()
    assert world.person("user_id:u").audiences == ("counted",)
    assert world.person("user_id:v").audiences == ("pros",)
    left = [effect for effect in world.effects() if isinstance(effect, Left)]
    assert [(effect.audience, effect.reason) for effect in left] == [("some", "definition")]
    world.send(track("A", user="u"))
    world.fold()
    assert world.person("user_id:u").computed == {"n": 2}


def test_late_events_are_put_where_they_belong() -> None:
    """Time-based last write wins, and first/last go by event time, whatever the order of arrival."""
    world = World(define({"earliest": 'first("A", properties.v)', "latest": 'last("A", properties.v)'}))
    world.send(identify(START_MS - 10, user="u", traits={"city": "new"}))
    world.send(track("A", START_MS - 5, user="u", properties={"v": 2}))
    world.send(identify(START_MS - 20, user="u", traits={"city": "old"}))
    world.send(track("A", START_MS - 9, user="u", properties={"v": 1}))
    world.fold()
    assert world.person("user_id:u").declared == {"city": "new"}
    assert world.person("user_id:u").computed == {"earliest": 1, "latest": 2}


def test_an_event_from_the_future_happened_when_it_arrived() -> None:
    """An event's time is clamped to the log's clock, so no window waits for it."""
    world = World(define({"n": 'count("A", within="1h")'}))
    world.send(track("A", START_MS + 10 * DAY_MS, user="u"))
    world.pass_time(HOUR_MS)
    assert world.person("user_id:u").computed == {"n": 0}


def test_effects_of_one_event_come_in_order_and_are_numbered() -> None:
    """Created, then what changed, then what was entered, each with its own number."""
    world = World(define({"n": 'count("A")'}, {"some": "n > 0"}))
    world.send(track("A", user="u"))
    world.fold()
    effects = [effect for effect in world.effects() if effect.profile]
    assert [type(effect).__name__ for effect in effects] == ["Created", "Admitted", "Changed", "Entered"]
    assert [effect.n for effect in effects] == [0, 1, 2, 3]
    assert isinstance(effects[2], Changed)
    assert effects[2].traits == {"n": 1}
    assert isinstance(effects[3], Entered)


def test_a_profile_without_notes_is_stored_as_before_there_were_any() -> None:
    """Nothing that can be written without rules of identity changes in a state: 16 fields, and no word of notes."""
    world = World(define({"n": 'count("A")'}))
    world.send(track("A", user="u"), identify(user="u", traits={"plan": "pro"}))
    world.fold()
    found = world.profile("user_id:u")
    fields = [getattr(found, name) for name in found.__struct_fields__ if name != "notes"]
    stored = encode(found)
    assert stored == msgspec.msgpack.encode(fields)
    assert len(msgspec.msgpack.decode(stored)) == 16
    found.noted().seen["email:x@acme.com"] = 1
    assert decode(encode(found)) == found
    assert decode(stored).notes is None
