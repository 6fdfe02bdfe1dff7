"""Faults of the log's calls, for producer, learner and evaluator: each ends by name, is started again, and goes on."""

from __future__ import annotations

import gc
from functools import partial

from chaos.fault import SAME, Fault, Ground, Outcome, finish
from chaos.faulty_log import Chance, FaultyLog, Rates
from chaos.run import Run
from chaos.verdict import Finding
from eventlog.errors import LogError
from eventlog.log import Log

ROLES = ("producer", "learner", "evaluator")
MOST_FAULTS, MOST_LIVES = 40, 200


def lives(run: Run, role: str, chance: Chance) -> int:
    """Start a role again until it is done; how many lives it took. Its log fails by `chance`."""

    def wrap(log: Log) -> Log:
        return FaultyLog(log, chance)

    gc.freeze()  # what there is already makes every collection below slow
    for life in range(1, MOST_LIVES + 1):
        try:
            run.here(role, wrap=wrap)
            return life
        except LogError as error:
            if "injected" not in str(error):
                run.findings.append(Finding("other", f"{role}: {type(error).__name__}: {error}"))
                return life
        gc.collect()  # a life that failed as it was being made still owns its checkpoints, through its traceback
    run.findings.append(Finding("other", f"{role}: not done after {MOST_LIVES} lives"))
    return MOST_LIVES


def faulty_calls(rates: Rates, ground: Ground) -> Outcome:
    """Run the roles one after the other over a faulty log; of half the runs a producer writes the stream."""
    run = ground.draw(200 if ground.on_kafka else 300)
    run.checkpoint_every_events = 50
    replay = bool(ground.rng.random() < 0.5)
    if replay:
        run.prepare_replay()
    else:
        run.write()
    struck = 0
    for role in ROLES if replay else ROLES[1:]:
        chance = Chance(rates, ground.rng, MOST_FAULTS)
        lives(run, role, chance)
        struck += chance.struck.total()
    # The log itself stores a producer's flush twice here, which no writer of ours does.
    return Outcome(int(struck > 0), struck, findings=finish(ground, run, repeats=True))


def _fault(name: str, rates: Rates) -> Fault:
    return Fault(name, SAME, partial(faulty_calls, rates))


FAULTS = (
    _fault("calls of the log fail", Rates(fails=0.05)),
    _fault("acknowledgements are lost", Rates(unanswered=0.2)),
    _fault("writes are torn", Rates(torn=0.2)),
    _fault("writes are stored twice", Rates(doubled=0.3)),
    _fault("polls bring nothing, little, in any order", Rates(starved=0.4, short=0.4)),
    _fault("all of these", Rates(0.02, 0.05, 0.05, 0.1, 0.2, 0.2)),
)
