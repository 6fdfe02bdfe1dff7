"""The two parts of an API that own a state, the learner and the evaluator: in a process each, or, for tests, in threads.

The process that takes requests starts them (`engram.part_hosts`), and speaks to each over a socket.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import typer
from prometheus_client import CollectorRegistry

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import Evaluator
from engram.children import StopRequest, settle_memory
from engram.parts import build_learner, lane_config, open_log, topics_of
from engram.process_log import log_to_stderr
from engram.settings import Settings
from engram.warm import warm_up_evaluator, warm_up_learner
from serving import questions
from serving.desk import Desk
from serving.growth import GrowthDiary
from serving.live_evaluator import evaluate_and_answer
from serving.live_learner import learn_and_answer
from serving.network import NetworkAround
from serving.question import LearnerState, Question, UnknownError
from serving.wire import HEAD

PartName = Literal["learner", "evaluator"]
_NOBODY: Final = "\x01nobody"  # no id holds a control character
_EVALUATOR_NICENESS: Final = 5  # lists go first
_EVERYTHING: Final = questions.Asking(diversity=0.1, session=0.1, genre_coverage=True, explain=True)
# Kernels are compiled at the first question of each kind.
_FIRST_QUESTIONS: Final[tuple[Question, ...]] = (
    questions.Recommendations(_NOBODY, _EVERYTHING),
    questions.Similar(_NOBODY, 1),
    questions.ProfileOf(_NOBODY),
    NetworkAround(),
)


class Order(NamedTuple):
    """What a part is made from. mine: the partitions that it learns, None for all. for_people: who reads its log."""

    part: PartName
    settings: Settings
    mine: tuple[int, ...] | None
    for_people: bool = False

    def encoded(self) -> bytes:
        """For `decode_order`. Passwords are in it: it goes over a socket that two processes share, and is in no file."""
        return msgspec.msgpack.encode((msgspec.structs.asdict(self.settings), self.mine, self.for_people))


def decode_order(part: PartName, data: bytes) -> Order:
    """Read what `Order.encoded` wrote, of the same version of this program."""
    values, mine, for_people = msgspec.msgpack.decode(data)
    # What is repeatable is a tuple in the settings, and a list on the way.
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return Order(part, Settings(**given), None if mine is None else tuple(mine), for_people)


def run_part(
    order: Order,
    end: socket.socket,
    stop: Callable[[], bool],
    built: Callable[[], None] = lambda: None,
) -> None:
    """Be a part: answer over the socket until `stop` says so, or the other end is gone; end with a checkpoint.

    built: called when it is built, and nobody waits for an answer yet.

    Raises, and tells the other end, what building the part and its steps raise.
    """
    with contextlib.closing(Desk(end)) as desk:
        try:
            if order.part == "learner":
                _learn(order, desk, stop, built)
            else:
                _evaluate(order, desk, stop, built)
        except BaseException as error:
            desk.end(error)
            raise


def _learn(order: Order, desk: Desk, stop: Callable[[], bool], built: Callable[[], None]) -> None:
    # Live, events are learned as they arrive; with one partition that is the merged order.
    merge = order.settings.merge and order.settings.partitions > 1 and order.mine is None
    settings = msgspec.structs.replace(order.settings, merge=merge)
    registry, topics = CollectorRegistry(), topics_of(settings)
    warm_up_learner(lane_config(settings), settings.partitions)
    import networkx  # noqa: F401 (not while somebody waits for an answer)

    with open_log(settings) as log:
        learner = build_learner(
            settings, log, topics, registry, until_end=False, only=order.mine, answers=True
        )
        with contextlib.closing(learner):
            state = LearnerState(learner.streams, GrowthDiary(), registry)
            for question in _FIRST_QUESTIONS:
                with contextlib.suppress(UnknownError):
                    question.of(state)
            built()
            learn_and_answer(learner, desk, registry, stop)


def _evaluate(order: Order, desk: Desk, stop: Callable[[], bool], built: Callable[[], None]) -> None:
    warm_up_evaluator()
    # Each instance evaluates what all of them predict, on its own.
    own = "evaluator" if order.mine is None else f"evaluator-{'-'.join(map(str, sorted(order.mine)))}"
    store = CheckpointStore(Path(order.settings.checkpoint_dir) / own)
    topic = topics_of(order.settings).predictions
    with open_log(order.settings) as log, Evaluator(log, topic, lanes=(), store=store) as evaluator:
        built()
        evaluate_and_answer(evaluator, desk, stop)


def serve_part(
    part: Annotated[PartName, typer.Argument()], socket_number: Annotated[int, typer.Argument(metavar="FD")]
) -> None:
    """Be the learner or the evaluator of an `engram serve`, which started this process and shares a socket with it."""
    end = socket.socket(fileno=socket_number)
    (length,) = HEAD.unpack(_exactly(end, HEAD.size))
    order = decode_order(part, _exactly(end, length))
    log_to_stderr(part, order.settings.log_format, for_people=order.for_people)
    if part == "evaluator":
        os.nice(_EVALUATOR_NICENESS)
    stop = StopRequest()
    run_part(order, end, lambda: bool(stop), settle_memory)


def _exactly(end: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = end.recv(size - len(found))
        if not part:  # whoever started this is gone already
            raise SystemExit(0)
        found += part
    return found
