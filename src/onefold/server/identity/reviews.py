"""Reviews: pairs of profiles that may be one person, and what somebody decides of them."""

import struct
from typing import Annotated, Any, Literal

from litestar import Request, Router
from litestar.params import HeaderParameter, JSONBody, Parameter
from msgspec import Struct

from onefold.errors import InvalidRequest, StorageError
from onefold.matching.record import Record
from onefold.model import position, receipt
from onefold.model.entry import PROFILE_ID_MAX
from onefold.model.proposal import Judgement
from onefold.runtime.identity.reviewing import Review, Verdict, decide, reviewed, scorer_of
from onefold.server import instants
from onefold.server.defining.applying import author
from onefold.server.engines import Given
from onefold.server.instants import Instant
from onefold.server.route import DEFAULT_LIMIT, After, Limit, page_after, page_next, read, write

READ = "identity:read profiles:read"


class ReasonAnswer(Struct):
    """What one comparison says; `bits`: log2 of how much likelier it is of one person than of strangers."""

    comparison: str
    level: str
    bits: float


class SideAnswer(Struct):
    """One of the two, and what is compared of it."""

    profile: str
    given: str
    family: str
    born: str
    street: str
    place: str
    postcode: str
    phones: list[str]
    emails: list[str]
    accounts: list[str]


class ReviewAnswer(Struct):
    """A proposal. `tag` is for `If-Match`, when it is decided."""

    a: SideAnswer
    b: SideAnswer
    score: float
    household: float
    standing: Judgement
    by: str
    at: Instant
    apart: bool
    """Both are profiles of their own; false for a pair that is one by now."""
    why: list[ReasonAnswer]
    tag: str


class ReviewPageAnswer(Struct):
    """A page, the highest score first; `next` is empty on the last one. `counts`: how many stand how."""

    reviews: list[ReviewAnswer]
    next: str
    counts: dict[Judgement, int]


class Decided(Struct, forbid_unknown_fields=True):
    """Two profiles, and whether they are one person."""

    a: str
    b: str
    judgement: Literal["accepted", "refused"]
    by: str = ""
    """In whose name, beside the key's."""


class DecidedAnswer(Struct):
    """It is decided, and in the log. `receipt` lets a reader wait until it is folded: `?after=`."""

    standing: Judgement
    by: str
    tag: str
    receipt: str


Standing = Annotated[Judgement, Parameter(description="Those that stand so.")]
Least = Annotated[float, Parameter(ge=0, le=1, description="With a score of at least this.")]
IfMatch = Annotated[
    str, HeaderParameter(name="if-match", description="The `tag` that was read; 412 where it is another by now.")
]


@read("/", READ, "Pairs that may be one person", sync_to_thread=True)
def get_reviews(
    engines: Given,
    standing: Standing = "asked",
    least: Least = 0.0,
    limit: Limit = DEFAULT_LIMIT,
    after: After = "",
) -> ReviewPageAnswer:
    """Answer with a page of proposals, each with what speaks for and against it."""
    proposals = engines.proposed()
    scorer = scorer_of(proposals)
    found = [each for each in proposals.page(standing, _after(after), limit) if each.score >= least]
    shown = [_shown(reviewed(engines.state, scorer, each)) for each in found]
    last = found[-1] if len(found) == limit else None
    return ReviewPageAnswer(
        shown, "" if last is None else page_next(_whole(last.score), last.a, last.b), proposals.counts()
    )


@write(
    "/", "identity:write", "Decide whether two are one person", refusals=[404, 412, 503], sync_to_thread=True,
    description="Accepted, they merge; refused, they are not proposed again, and nothing that events show joins them.",
)  # fmt: skip
def post_review(
    engines: Given, request: Request[Any, Any, Any], data: JSONBody[Decided], if_match: IfMatch = ""
) -> DecidedAnswer:
    """Keep the decision and write it into the log."""
    if engines.writer is None:
        raise StorageError("this process does not write the log")
    by = author(engines, request, data.by)
    verdict = Verdict(_number(data.a), _number(data.b), data.judgement, by, if_match.strip('"'))
    decided, (home, offset) = decide(engines.proposed(), engines.state, engines.writer, engines.clock, verdict)
    return DecidedAnswer(decided.standing, decided.by, decided.tag, receipt.issue([home], {home: offset}).decode())


router = Router("/v1/identity/reviews", route_handlers=[get_reviews, post_review], tags=["profiles"])


def _after(text: str) -> tuple[float, int, int] | None:
    if not text:
        return None
    whole, a, b = page_after(text, 1 << 64, PROFILE_ID_MAX + 1, PROFILE_ID_MAX + 1)
    return float(struct.unpack(">d", whole.to_bytes(8))[0]), a, b


def _whole(score: float) -> int:
    """The bits of a score, to go on from exactly there."""
    return int.from_bytes(struct.pack(">d", score))


def _number(text: str) -> int:
    found = position.parse(text)
    if found is None:
        raise InvalidRequest(f"{text!r} is no profile: they are called prf_…")
    return found


def _shown(review: Review) -> ReviewAnswer:
    kept = review.proposal
    return ReviewAnswer(
        _side(kept.a, review.a), _side(kept.b, review.b), kept.score, kept.household, kept.standing, kept.by,
        instants.show(kept.at_ms), review.apart, [ReasonAnswer(*each) for each in review.why], kept.tag,
    )  # fmt: skip


def _side(number: int, record: Record) -> SideAnswer:
    return SideAnswer(
        position.show(number), record.given, record.family, record.born, record.street, record.place, record.postcode,
        list(record.phones), list(record.emails), list(record.accounts),
    )  # fmt: skip
