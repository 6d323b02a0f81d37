"""The simulated shop: seeded, and true to the Segment spec but where it means to be wrong."""

from onefold.demo.receiver import sign
from onefold.demo.shop import Event, Shop, story

NOW_MS = 1_800_000_000_000


def events(shop: Shop, n: int) -> list[Event]:
    """All events of some batches."""
    return [event for _ in range(n) for sent in shop.batch(20, NOW_MS) for event in sent.events]


def test_the_same_seed_tells_the_same_story() -> None:
    """Two shops of one seed send the same events, another seed sends others."""
    assert events(Shop(7), 30) == events(Shop(7), 30)
    assert events(Shop(7), 30) != events(Shop(8), 30)


def test_the_shop_does_what_real_shops_do() -> None:
    """There are repeated, late and malformed events, sign-ins and orders."""
    found = events(Shop(1), 200)
    ids = [event["messageId"] for event in found]
    assert len(set(ids)) < len(ids)
    assert len({event["timestamp"] for event in found}) > 10
    assert any(event["timestamp"] == "yesterday" for event in found)
    assert any("anonymousId" not in event and "userId" not in event for event in found)
    names = {event.get("event", event["type"]) for event in found}
    assert {"identify", "page", "Product Viewed", "Product Added", "Order Completed"} <= names


def test_history_ends_just_before_its_window() -> None:
    """The carts of the past are older than 50 minutes and younger than an hour."""
    found = Shop(1).history(5, NOW_MS)
    assert {event["type"] for event in found} == {"identify", "track"}
    assert all("2027-01-15T07:0" in event["timestamp"] for event in found)


def test_the_story_joins_two_devices() -> None:
    """The heroine uses two devices and gives the same e-mail address on both."""
    _, steps = story("abc")
    assert {step.device for step in steps} == {"phone-abc", "laptop-abc"}
    given = {
        (step.device, event["traits"]["email"])
        for step in steps
        for event in step.events
        if event["type"] == "identify"
    }
    assert given == {("phone-abc", "mara.abc@shop.example"), ("laptop-abc", "mara.abc@shop.example")}


def test_the_receiver_signs_as_standard_webhooks_says() -> None:
    """The published example of the specification verifies."""
    secret = "whsec_plJ3nmyCDGBKInavdOK15jsl"
    signed = b'msg_loFOjxBNrRLzqYUf.1731705121.{"event_type":"ping","data":{"success":true}}'
    assert sign(secret, signed) == "rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="
