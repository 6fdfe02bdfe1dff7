"""Take the pictures of docs/page.md of a running page: python -m benchmarks.page_pictures [--url URL] [--out DIR].

Start it before: engram app --replay ml-100k, and let the replay run for a while. Needs Playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_FILMS = ("Star Wars", "Alien", "Fargo")


def settled(page: Any) -> None:
    """Wait until the page's script has run, and what it drew stands still."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(1_500)


def rate_films(page: Any) -> None:
    """Search and rate a few films with five stars."""
    for film in _FILMS:
        page.get_by_label("Find a film that you know").fill(film.lower())
        page.keyboard.press("Enter")
        row = page.locator("[class*='st-key-found-']").filter(has_text=film).first
        row.get_by_role("radio").nth(4).click()
        page.get_by_text(f"You gave {film}").first.wait_for()
        settled(page)
    page.get_by_label("Find a film that you know").fill("")
    page.keyboard.press("Enter")
    settled(page)


def pictures(browser: Browser, url: str, out: Path) -> None:
    """Take all of them."""
    context = browser.new_context(viewport={"width": 1280, "height": 1080}, color_scheme="light")
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{url}/?user=zoe")
    settled(page)
    rate_films(page)
    page.screenshot(path=out / "page-for-you.png")
    for name, height in (("Brain", 1_000), ("Race", 1_120)):
        page.set_viewport_size({"width": 1280, "height": height})
        page.get_by_role("link", name=name).first.click()
        settled(page)
        page.screenshot(path=out / f"page-{name.lower()}.png")
    context.close()
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{url}/?user=max")
    settled(page)
    rate_films(page)
    page.screenshot(path=out / "page-phone.png")
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://localhost:8501")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        pictures(browser, arguments.url, arguments.out)
        browser.close()


if __name__ == "__main__":
    main()
