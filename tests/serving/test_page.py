"""The web page in a real browser: a person's path, every page, and an API that is killed and comes back."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from serving.client import EngramClient
from tests.serving.films import put_films, ratings

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("streamlit")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
COLOUR = "getComputedStyle(document.querySelector('[data-testid=stApp]')).colorScheme"
SLOW_MS = 60_000.0  # never waited for: a machine may be busy


class Running(NamedTuple):
    """`engram app` as a process. api: where its API is."""

    process: subprocess.Popen[str]
    url: str
    api: str

    def api_pid(self) -> int:
        """The process that takes requests."""
        return _child(self.process.pid, b"serve")

    def learner_pid(self) -> int:
        """The process that learns and answers."""
        return _child(self.api_pid(), b"learner")


def _child(parent: int, word: bytes) -> int:
    """The child process whose command line has the word; whichever thread of the parent started it."""
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    children = [pid for task in tasks for pid in task.read_text().split()]
    return next(
        int(pid) for pid in children if word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`engram app` over films of two tastes, which a hundred people have rated."""
    folder = tmp_path_factory.mktemp("app")
    put_films(folder / "log.sqlite")
    port = free_port()
    models = [word for name in ("popularity", "hebbian", "wisard") for word in ("--model", name)]
    command = [
        sys.executable,
        "-m",
        "engram",
        "app",
        "--no-replay",
        "--out",
        str(folder),
        "--port",
        str(port),
    ]
    with subprocess.Popen([*command, *models], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = ""
            while "Ctrl-C" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            api = re.findall(r"API: (http://localhost:\d+)/docs", said)[0].replace("localhost", "127.0.0.1")
            with EngramClient(api) as client:
                events = ratings()
                for at in range(0, len(events), 1_000):
                    position = client.send(events[at : at + 1_000])
                client.user("u0", after=position)
            yield Running(process, f"http://127.0.0.1:{port}", api)
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 0


@pytest.fixture(scope="module")
def browser(chromium: str | None) -> Iterator[Any]:
    """A real Chromium without a window."""
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A new visitor's tab; anything that leaves this machine fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SLOW_MS)
    page = context.new_page()
    left: list[str] = []
    page.on(
        "request",
        lambda request: (
            None
            if re.match(r"(https?|ws)://127\.0\.0\.1[:/]|data:|blob:", request.url)
            else left.append(request.url)
        ),
    )
    yield page
    context.close()
    assert not left


def settle(page: Any) -> None:
    """Wait until the page's script has run; nothing in it may have failed."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    assert page.locator("[data-testid=stException]").count() == 0


def visible(page: Any, text: str) -> Any:
    found = page.get_by_text(text).first
    found.wait_for()
    return found


def give_stars(page: Any, film: str, stars: int) -> None:
    """Rate a film of the list or of what was found."""
    row = page.locator(f"[class*='st-key-list-{film} '], [class*='st-key-found-{film} ']").first
    row.get_by_role("radio").nth(stars - 1).click()


def listed(page: Any) -> list[str]:
    """Ids of the list, in order."""
    rows = page.locator("[class*='st-key-list-']").all()
    return [re.findall(r"st-key-list-(\d+)", row.get_attribute("class"))[0] for row in rows]


def test_a_person_rates_five_films_and_the_list_becomes_theirs(running: Running, tab: Any) -> None:
    tab.goto(running.url)
    tab.get_by_label("Your name").fill("zoe")
    tab.get_by_role("button", name="Begin").click()
    visible(tab, "nothing is known of you yet")
    settle(tab)
    before = listed(tab)
    assert len(before) == 10
    # By the keyboard too: search, then stars.
    tab.get_by_label("Find a film that you know").fill("robot 1")
    tab.keyboard.press("Enter")
    tab.locator(".st-key-found-1").wait_for()
    given = ["1", "11", "13", "15", "17"]
    for number, film in enumerate(given, 1):
        give_stars(tab, film, 5)
        visible(tab, f"You gave Robot {film} (19{60 + int(film)}) 5 ★.")
        if number < len(given):
            visible(tab, f"{number} of 5 rated")
        settle(tab)
        if number == 1:
            # What moved, and why: others who had it had the other robots.
            visible(tab, "came up: wired to Robot 1 (1961) with weight")
            assert int(re.findall(r"(\d+) of 10 moved", tab.inner_text("body"))[0]) > 0
    after = listed(tab)
    assert after != before
    robots = [film for film in after if int(film) % 2]
    assert after[: len(robots)] == robots and len(robots) == 10  # fifteen robots, five of them rated
    visible(tab, "Because you rated Robot")
    with EngramClient(running.api) as client:
        assert {had.item for had in client.user("zoe").history} == set(given)
    # The session's shelf, and taking back.
    shelf = tab.get_by_role("button", name="Take back")
    assert shelf.count() == 5
    shelf.first.click()
    visible(tab, "You took that back.")
    settle(tab)
    with EngramClient(running.api) as client:
        assert {had.item for had in client.user("zoe").history} == set(given) - {"17"}


def test_filters_and_diversity_change_the_list(running: Running, tab: Any) -> None:
    tab.goto(f"{running.url}/?user=u0")
    tab.get_by_text("films rated").first.wait_for()
    settle(tab)
    tab.get_by_text("Filters").click()
    genres = tab.get_by_role("combobox", name="Genres")
    genres.fill("Sci-Fi")
    tab.get_by_role("option", name="Sci-Fi").click()
    tab.wait_for_function(
        "() => [...document.querySelectorAll(\"[class*='st-key-list-']\")].every(row => row.innerText.includes('Robot'))"
    )
    settle(tab)
    assert listed(tab)
    tab.keyboard.press("Escape")
    tab.get_by_role("slider", name="Diversity").press("ArrowRight")
    settle(tab)


PAGES = {
    "Brain": ["neurons and their", "One neuron", "Users who had it", "Your mental image"],
    "Race": ["popularity (floor)", "times the floor", "Is it more than luck?"],
    "Analytics": ["Your taste", "Diversity of your list of 20", "The films"],
    "Replay room": ["No replay runs beside."],
    "About": ["Engram learns from every event."],
}


def test_each_page_is_drawn_from_the_menu(running: Running, tab: Any) -> None:
    tab.goto(f"{running.url}/?user=u1")
    for name, texts in PAGES.items():
        tab.get_by_role("link", name=name).first.click()
        for text in texts:
            visible(tab, text)
        settle(tab)
        assert tab.evaluate(COLOUR) == "light"


def test_pages_fit_a_phone_in_the_dark(running: Running, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(SLOW_MS)
    page = context.new_page()
    for name in ("For you", "Race"):
        page.goto(f"{running.url}/{name.lower().replace(' ', '-')}?user=u1")
        visible(page, PAGES.get(name, ["films rated"])[0])
        settle(page)
        assert page.evaluate(COLOUR) == "dark"
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    context.close()


def test_a_killed_learner_loses_nothing_and_the_page_goes_on_by_itself(running: Running, tab: Any) -> None:
    tab.goto(f"{running.url}/?user=kim")
    settle(tab)
    tab.get_by_label("Find a film that you know").fill("garden")
    tab.keyboard.press("Enter")
    tab.locator(".st-key-found-2").wait_for()
    give_stars(tab, "2", 4)
    visible(tab, "You gave Garden 2 (1962) 4 ★.")
    settle(tab)
    killed = running.api_pid()
    os.kill(killed, signal.SIGKILL)
    give_stars(tab, "4", 5)  # while nobody is there
    visible(tab, "The API does not answer")
    visible(tab, "1 rating is kept here")
    visible(tab, "You gave Garden 4 (1964) 5 ★.")  # by itself
    settle(tab)
    assert running.api_pid() != killed
    # The learner alone, while events are accepted: the list has this star, too, once it is back.
    killed = running.learner_pid()
    os.kill(killed, signal.SIGKILL)
    give_stars(tab, "6", 3)
    visible(tab, "You gave Garden 6 (1966) 3 ★.")
    settle(tab)
    with EngramClient(running.api) as client:
        while not client.ready():
            time.sleep(0.2)
        assert running.learner_pid() != killed
        assert {had.item: had.rating for had in client.user("kim").history} == {
            "2": 4.0,
            "4": 5.0,
            "6": 3.0,
        }
        assert len(client.user("u1").history) == 13
        deadline_s = time.monotonic() + 60
        while (
            client.prequential().events < client.catalogue().learned_events and time.monotonic() < deadline_s
        ):
            time.sleep(0.2)
        assert client.prequential().events == client.catalogue().learned_events
