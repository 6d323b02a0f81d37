"""Renew: judge a profile again, all of it, under the definitions in force.

A sweep does so after every change of definitions. With several partitions it may be that one still folds under older
definitions when another has swept already: what that one leaves behind is marked, and its home judges it again.
"""

from onefold.core.account_links import accounts_in, copy, move
from onefold.core.identity.merge import settle
from onefold.core.run import NOTHING, Run
from onefold.core.timers import wake
from onefold.limits import NEVER_MS
from onefold.model.position import is_account
from onefold.model.profile import JUDGE_ANEW_MS, Profile


def renew(run: Run, profile: Profile) -> None:
    """Forget what the definitions do not mention any more, then judge everything."""
    program = run.program_of(profile)
    profile.version = run.program.version
    if program is run.program and is_account(profile.id):
        _let_go(run, profile)
        return
    before = accounts_in(profile.slots)
    profile.slots = settle(profile.slots, program)
    if before:
        move(run, profile, before)
        copy(run, profile)
    run.quiet = run.program.quiet
    wake(run, profile)
    for name in [name for name in profile.computed if name not in program.trait_names]:
        del profile.computed[name]
        run.changed[name] = None
    for audience in [name for name in profile.audiences if name not in program.audience_names]:
        del profile.audiences[audience]
        run.moves.append((audience, False))
    program.judge_all(profile, run.now_ms, run.changed, run.moves)
    run.tell(profile, "definition")
    run.quiet = NOTHING


def _let_go(run: Run, account: Profile) -> None:
    """Where no definition has to do with accounts, one has nothing but its name; if some have again, it begins anew."""
    account.slots, account.computed, account.declared, account.due_ms = {}, {}, {}, NEVER_MS
    account.events, account.recent = 0, []
    account.now_ms = run.now_ms


def bring_to_present(run: Run, profile: Profile) -> None:
    """What has come due for a profile: all of it, where it is marked and these are its definitions."""
    if run.program.accounts is None and is_account(profile.id):
        _let_go(run, profile)
    elif profile.due_ms == JUDGE_ANEW_MS and profile.version == run.program.version:
        renew(run, profile)
    else:
        wake(run, profile)


def mark(run: Run) -> None:
    """After a step: mark the profiles that were swept under newer definitions than those of this partition."""
    version = run.program.version
    for profile in run.touched.values():
        if profile.version > version:
            profile.due_ms = JUDGE_ANEW_MS
