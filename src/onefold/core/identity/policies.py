"""The policies by which a workspace may have its identifiers become people, each with what resolves an event."""

from collections.abc import Callable, Mapping

from onefold.core.batch import Incoming
from onefold.core.identity.policy_merging import demote_the_lowest, merge_on_any
from onefold.core.identity.policy_newest import let_the_newest_win
from onefold.core.identity.policy_ranked import match_the_best
from onefold.core.identity.rulebook import Rulebook
from onefold.core.run import Run
from onefold.model.identity import Policy
from onefold.model.profile import Profile

POLICIES: Mapping[Policy, Callable[[Run, Incoming, Rulebook], Profile]] = {
    "merge-any": merge_on_any,
    "segment": demote_the_lowest,
    "adobe-graph-linking": let_the_newest_win,
    "mparticle-default": match_the_best,
    "mparticle-profile-conversion": match_the_best,
    "mparticle-link": match_the_best,
    "mparticle-profile-isolation": match_the_best,
    "mparticle-best-match": match_the_best,
}
