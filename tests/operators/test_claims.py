"""One question at a time: two tasks never both claim a person, wherever either is held up."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.operators._claims import Claim, Read, Write, door

KEY = "who"
LATER = instants.write(datetime.now(UTC) + timedelta(days=1))


class World:
    """The Variables of an Airflow, and who is asking just now."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.asking: list[str] = []
        self.asked: list[str] = []
        self.seen: dict[str, tuple[str | None, ...]] = {}
        """What each task has read so far: all that it goes by."""

    @property
    def state(self) -> Any:
        """All that what comes next depends on."""
        values = {name: value["token"] for name, value in self.values.items()}
        return tuple(sorted(self.seen.items())), tuple(sorted(values.items())), tuple(self.asking)

    def do(self, step: Any) -> Any:
        """Do one step, as nobody else does anything."""
        match step:
            case Read(name):
                return self.values.get(name)
            case Write(name, value):
                self.values[name] = value
                if value is None:
                    del self.values[name]
        return None


def task(world: World, name: str) -> Iterator[None]:
    """Claim, ask, and release when there is an answer; others may do anything at each ``yield``."""
    claim = Claim(KEY, name, LATER)
    claim._token = name

    def perform(steps: Any) -> Generator[None, None, Any]:
        value = None
        while True:
            try:
                step = steps.send(value)
            except StopIteration as done:
                return done.value
            yield
            value = world.do(step)
            world.seen[name] = (*world.seen.get(name, ()), value and value["token"])

    if (yield from perform(claim.steps())) is None and (yield from perform(claim.check())) is None:
        assert not world.asking, f"{name} asks while {world.asking} waits for an answer"
        world.asking.append(name)
        world.asked.append(name)
        yield
        world.asking.remove(name)
    yield from perform(claim.release())


def run(schedule: Callable[[list[str]], str], names: str = "pq") -> World:
    """Let tasks run; at each step the schedule chooses who goes on."""
    world = World()
    going = {name: task(world, name) for name in names}
    while going:
        go_on(going, schedule(list(going)))
    return world


def go_on(going: dict[str, Iterator[None]], name: str) -> None:
    if next(going[name], going) is going:
        del going[name]


def steps_alone() -> int:
    """Count the steps of a task that nobody disturbs."""
    count = 0

    def schedule(names: list[str]) -> str:
        nonlocal count
        count += 1
        return names[0]

    run(schedule, "p")
    return count


def test_whoever_is_alone_asks_and_leaves_nothing() -> None:
    world = run(lambda names: names[0], "pqr")
    assert (world.asked, world.values) == (["p", "q", "r"], {})


@pytest.mark.parametrize("held", range(steps_alone() + 1))
def test_one_that_is_held_up_at_any_step_lets_no_second_question_out(held: int) -> None:
    """One task is held up after each of its steps in turn, while another one does everything."""
    done = 0

    def schedule(names: list[str]) -> str:
        nonlocal done
        if "p" in names and (done < held or "q" not in names):
            done += 1
            return "p"
        return "q"

    world = run(schedule)
    # Before it has announced itself the other one asks first; then that one gives way, until there is an answer.
    assert world.asked == (["q", "p"] if held <= 3 else ["p", "q"] if held == steps_alone() else ["p"])
    assert world.values == {}


def test_what_a_task_leaves_that_gave_way_late_is_not_its_own_when_it_is_cleared() -> None:
    """Another task announces itself just before this one has closed the door, and may hold the claim."""
    world = World()
    p, q = (task(world, name) for name in "pq")
    for going, times in ((q, 3), (p, 7), (q, 1), (p, 20)):
        # q has looked, p closes the door, q announces itself, p finds that.
        assert [next(going, world) for _ in range(times)]
    left = world.values[door(KEY)]
    assert left["by"] == "p, which gave way"
    assert [*task(world, "p")]
    assert (world.asked, world.values[door(KEY)]) == ([], left)


def test_no_order_of_the_steps_of_two_tasks_lets_both_ask() -> None:
    """Every order, but for what follows on a state that another order has led to already."""
    seen: set[Any] = set()
    ends: set[str] = set()
    paths = [""]
    while paths:
        path, world = paths.pop(), World()
        going = {name: task(world, name) for name in "pq"}
        for name in path:
            go_on(going, name)
        steps = tuple(map(path.count, "pq"))
        if (state := (world.state, steps)) not in seen:
            seen.add(state)
            paths += [path + name for name in going]
            ends |= set() if going else {"".join(world.asked)}
    assert len(seen) > 300
    # Neither, one, or one after the other.
    assert ends == {"", "p", "q", "pq", "qp"}


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_the_steps_of_many_tasks_lets_two_ask(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(1000):
        # Some are held up for long: they are drawn less often.
        weights = {name: rng.choice([1, 1, 5, 50]) for name in "pqrs"}
        run(lambda names, weights=weights: rng.choices(names, [weights[name] for name in names])[0], "pqrs")
