"""The page before anybody talks: it loads under its CSP, everyone can use it, it fits screens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import DESKTOP, NARROW, PHONE, browsing, serving, visiting

CHECKS = (Path(__file__).parent / "page_checks.js").read_text()


def checked(page: Any, what: str) -> Any:
    """Return what the check ``what`` of page_checks.js finds."""
    return page.evaluate(
        f"(() => {{ const checks = {CHECKS.strip()}; return checks.{what}(); }})()"
    )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as found:
        yield found


def test_page_loads_without_a_complaint_and_asks_nobody_else(browser: Any, server: str) -> None:
    with visiting(browser, server) as page:
        assert page.title() == "Visavis"
        assert page.inner_text("#badge") == "AI-generated"
        assert "computer-generated" in page.inner_text("#disclosure")
        page.wait_for_function("() => document.getElementById('poster').naturalWidth > 0")
        page.wait_for_timeout(300)
        assert page.problems == []
        assert {url for url in page.requested if not url.startswith((server, "blob:"))} == set()


def test_nothing_inline_runs_under_the_csp(browser: Any, server: str) -> None:
    with visiting(browser, server) as page:
        found = page.request.get(server).text()
        assert "<style" not in found
        assert "style=" not in found
        assert " onclick" not in found
        policy = page.request.get(server).headers["content-security-policy"]
        assert "unsafe-inline" not in policy
        page.evaluate("""() => document.body.append(
            Object.assign(document.createElement('script'),
                          {textContent: 'document.title = "owned"'}))""")
        assert page.title() == "Visavis"


def test_offer_is_ready_before_the_start(browser: Any, server: str) -> None:
    with visiting(browser, server) as page:
        page.wait_for_function("""async () => {
            const {conversation} = await import('./main.js');
            return conversation.warm?.peer.iceGatheringState === 'complete';
        }""")
        sdp = page.evaluate("""async () =>
            (await import('./main.js')).conversation.warm.peer.localDescription.sdp""")
        assert "a=candidate" in sdp
        assert sdp.count("m=") == 3  # the microphone's place is there from the start


@pytest.mark.parametrize("view", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(browser: Any, server: str, view: Any, scheme: str) -> None:
    with visiting(browser, server, color_scheme=scheme, **view) as page:
        page.evaluate("document.querySelector('details').open = true")
        page.wait_for_function(
            "() => getComputedStyle(document.getElementById('ambience')).opacity > 0.15"
        )
        found = checked(page, "contrasts")
        assert len(found) > 30
        assert [item for item in found if item[0] < 4.5] == []
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        is_dark = sum(int(x) for x in ground[4:-1].split(",")) < 3 * 128
        assert is_dark == (scheme == "dark")


@pytest.mark.parametrize("view", [DESKTOP, PHONE, NARROW], ids=["desktop", "phone", "narrow"])
def test_it_fits_the_screen(browser: Any, server: str, view: Any) -> None:
    with visiting(browser, server, **view) as page:
        page.evaluate("document.querySelector('details').open = true")
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1]
        assert checked(page, "unnamed") == []
        if view is not DESKTOP:
            assert checked(page, "small") == []
        box = page.locator("#frame").bounding_box()
        assert box["height"] >= 0.4 * view["viewport"]["height"]


def test_the_keyboard_reaches_what_matters(browser: Any, server: str) -> None:
    with visiting(browser, server) as page:
        reached, rings = [], []
        for _ in range(16):
            page.keyboard.press("Tab")
            name, ring = checked(page, "focused")
            reached.append(name)
            rings.append(ring)
        for name in (
            "avatar",
            "portrait",
            "start",
            "mic",
            "text",
            "sound",
            "send",
            "handsfree",
            "state",
            "emotion",
        ):
            assert name in reached, (name, reached)
        assert all(rings[: reached.index("emotion")]), list(zip(reached, rings, strict=True))


def test_nothing_moves_for_those_who_want_stillness(browser: Any, server: str) -> None:
    with visiting(browser, server, reduced_motion="reduce") as page:
        page.evaluate("document.getElementById('phase').dataset.phase = 'speaking'")
        page.wait_for_timeout(100)
        assert checked(page, "moving") == []


def test_a_photo_without_a_face_is_refused_in_words(
    browser: Any, server: str, tmp_path: Any
) -> None:
    from PIL import Image

    Image.new("RGB", (400, 400), "teal").save(tmp_path / "wall.png")
    with visiting(browser, server) as page:
        page.set_input_files("#portrait", tmp_path / "wall.png")
        page.check("#consent-given")
        page.click("#consent-go")
        page.wait_for_selector("#consent-problem:visible")
        assert "face" in page.inner_text("#consent-problem")
        page.click("#consent-cancel")
        assert page.locator("#avatars label").count() == 1


def test_a_portrait_is_taken_in_chosen_and_taken_away(browser: Any, server: str) -> None:
    from visavis.opening import DEMO_PORTRAIT

    with visiting(browser, server) as page:
        before = page.locator("#avatars label").count()
        page.set_input_files("#portrait", DEMO_PORTRAIT)
        assert (
            page.locator("#consent-picture").evaluate(
                "img => img.decode().then(() => img.naturalWidth)"
            )
            > 0
        )
        page.check("#consent-given")
        page.click("#consent-go")
        page.wait_for_function(
            f"() => document.querySelectorAll('#avatars label').length === {before + 1}"
        )
        page.wait_for_function("() => !document.getElementById('consent').open")
        chosen = page.input_value("#avatars input:checked")
        page.wait_for_function(f"() => document.getElementById('poster').src.includes('{chosen}')")
        page.click("#remove")
        page.wait_for_function(
            f"() => document.querySelectorAll('#avatars label').length === {before}"
        )
        page.wait_for_function(f"() => !document.getElementById('poster').src.includes('{chosen}')")
        assert not page.is_visible("#remove")
        assert page.problems == []


def test_something_that_is_no_picture_is_refused_at_once(
    browser: Any, server: str, tmp_path: Any
) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    with visiting(browser, server) as page:
        page.set_input_files("#portrait", tmp_path / "notes.txt")
        page.wait_for_selector("#toast.shown")
        assert "not a picture" in page.inner_text("#toast")


def test_a_server_with_keys_asks_for_one(browser: Any) -> None:
    key = "a-key-of-enough-characters"
    with serving(api_keys=(key,)) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.fill("#key-value", "wrong-wrong-wrong-wrong")
        page.click("#key button")
        page.wait_for_selector("#key[open]")
        page.fill("#key-value", key)
        page.click("#key button")
        page.wait_for_selector("#avatars label")
        page.wait_for_function("() => document.getElementById('poster').naturalWidth > 0")
        context.close()
