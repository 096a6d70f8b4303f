"""The page in a browser."""

import importlib.util
import os
import re
import shutil

import pytest

from structkd_allennlp.serving.server import Limits
from tests.serving.fake_tagger import FakeTagger
from tests.serving.running import running

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

if CHROMIUM is None:
    pytest.skip("there is no Chromium here", allow_module_level=True)
if importlib.util.find_spec("playwright") is None:
    pytest.skip("playwright is not installed", allow_module_level=True)

from playwright.sync_api import expect, sync_playwright  # noqa: E402

PHONE = {"width": 390, "height": 844}


class Student(FakeTagger):
    """Takes persons for places, and is less sure."""

    def _tagged(self, *args):
        result = super()._tagged(*args)
        result["tags"] = [tag.replace("PER", "LOC") for tag in result["tags"]]
        return result


@pytest.fixture(scope="module")
def taggers():
    return {"teacher": FakeTagger("teacher"), "student": Student("student")}


@pytest.fixture(scope="module")
def url(taggers):
    with running(taggers, Limits(delay=0.001, sentences=50)) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    # Chromium's sandbox does not run as root.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, url):
    """Opens the page in a window of its own. What the browser complains of is an error."""
    contexts, complaints = [], []

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("dialog", lambda dialog: complaints.append("a dialog"))
        page.goto(url)
        expect(page.locator("#model option")).to_have_count(2)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [c for c in complaints if "Failed to load resource" not in c] == []


def tag(page, text):
    page.fill("#text", text)
    page.click("#tag")
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("#status")).not_to_be_empty()


def test_tags_text_of_any_language(opened):
    page = opened()
    tag(page, "Ana Silva lives in Porto.\n\n東京は日本の首都です。\nيعيش أحمد في القاهرة.")
    expect(page.locator(".sentence")).to_have_count(3)
    expect(page.locator("#status")).to_have_text("3 sentences, 13 tokens.")
    first = page.locator(".sentence").first
    expect(first.locator(".token")).to_have_text(
        ["AnaB-PER", "SilvaI-PER", "livesO", "inO", "PortoB-LOC", ".O"]
    )
    entities = first.get_by_role("listitem")
    expect(entities.nth(0)).to_have_text(re.compile("65.0 %\\s*PER Ana Silva 0–9"))
    expect(first).to_contain_text("Best sequences")
    expect(first).to_contain_text("Porto B-LOC → O")
    arabic = page.locator(".tokens").nth(2)
    assert arabic.evaluate("node => getComputedStyle(node).direction") == "rtl"


def test_colours_tell_probabilities(opened):
    page = opened()
    tag(page, "Ana sings to Bernardo")
    colours = page.locator(".token").evaluate_all(
        "nodes => nodes.map(node => getComputedStyle(node).backgroundColor)"
    )
    assert colours[0] != colours[3]
    # As sure to be nothing as can be told apart.
    assert colours[1] == colours[2]


def test_the_distribution_of_a_token(opened):
    page = opened()
    tag(page, "Ana sings")
    before = page.evaluate("document.documentElement.scrollHeight")
    token = page.get_by_role("button", name="Ana, B-PER, 65.0 %")
    token.click()
    panel = page.get_by_role("region", name="Ana")
    expect(panel.locator("li")).to_have_count(5)
    expect(panel.locator("li").first).to_have_text(re.compile("B-PER.*65.0 %"))
    expect(token).to_have_attribute("aria-expanded", "true")
    page.get_by_role("button", name="sings").click()
    expect(panel).to_have_count(0)
    expect(page.get_by_role("region", name="sings")).to_be_visible()
    page.click("h1")
    expect(page.locator(".distribution")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollHeight") == before


def test_two_models_side_by_side(opened):
    page = opened(viewport={"width": 1280, "height": 800})
    page.select_option("#other", "student")
    tag(page, "Ana lives in Porto")
    parts = page.locator(".model")
    expect(parts.locator("h3")).to_have_text(["teacher", "student"])
    expect(parts.nth(1).locator(".tag")).to_have_text(["B-LOC", "O", "O", "B-LOC"])
    for part in (parts.nth(0), parts.nth(1)):
        expect(part.locator(".differs")).to_have_count(1)
        expect(part.locator(".differs")).to_have_accessible_name(re.compile("Ana.*differs"))
    boxes = [parts.nth(i).bounding_box() for i in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


def test_keys_alone(opened):
    page = opened()
    page.focus("#text")
    page.keyboard.press("Control+A")
    page.keyboard.type("Ana sings in Porto")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".token")).to_have_count(4)
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className").startswith("token"):
            break
    focused = "document.activeElement.textContent"
    assert page.evaluate(focused) == "AnaB-PER"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".distribution h4")).to_have_text("sings")
    page.keyboard.press("End")
    assert page.evaluate(focused) == "PortoB-LOC"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "PortoB-LOC"
    page.keyboard.press("Escape")
    expect(page.locator(".distribution")).to_have_count(0)
    assert page.evaluate(focused) == "PortoB-LOC"
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.className").startswith("token")


def test_right_is_onward_but_for_arabic(opened):
    page = opened()
    tag(page, "يعيش أحمد")
    page.locator(".token").first.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.textContent") == "أحمدO"


HOSTILE = '<img src=x onerror=alert(1)> "><script>alert(2)</script> {{7*7}} &amp;'


def test_text_is_never_markup(opened):
    page = opened()
    page.fill("#language", "<b>x</b>")
    tag(page, HOSTILE)
    assert page.locator(".sentence img, .sentence script, .sentence b").count() == 0
    words = page.locator(".token > :first-child").all_text_contents()
    assert "".join(words) == HOSTILE.replace(" ", "")
    page.locator(".token").first.click()
    expect(page.locator(".distribution h4")).to_have_text("<")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ana !!!", "Not tagged: !!! cannot be tagged."),
        ("x" * 10_001, "Not tagged: sentence 1 has 10,001 characters"),
        ("x\n" * 51, "Not tagged: 51 sentences are more than the 50"),
        (" \n ", "Write a sentence first."),
    ],
)
def test_errors_are_shown(opened, text, message, monkeypatch):
    page = opened()
    page.fill("#text", text)
    page.click("#tag")
    status = page.get_by_role("status")
    expect(status).to_contain_text(message)
    expect(status).to_have_class("error")
    tag(page, "Ana")
    expect(status).to_have_text("1 sentence, 1 token.")


def test_a_server_that_is_gone(opened):
    page = opened()
    page.route("**/api/tag", lambda route: route.abort())
    page.click("#tag")
    expect(page.locator("#status")).to_contain_text("Not tagged")
    page.unroute("**/api/tag")
    page.route("**/api/tag", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    page.click("#tag")
    expect(page.locator("#status")).to_have_text("Not tagged: the server answers 502.")


def test_the_last_request_counts(opened, taggers):
    page = opened()
    taggers["teacher"].open.clear()
    try:
        page.fill("#text", "first")
        page.click("#tag")
        expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
        page.fill("#text", "second")
        page.click("#tag")
    finally:
        taggers["teacher"].open.set()
    expect(page.locator(".token")).to_have_text(["secondO"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE], ids=["wide", "phone"])
def test_fits_and_can_be_read(opened, scheme, viewport):
    """No scrolling to the side, whatever the text; contrast as WCAG AA asks; names for all."""
    page = opened(color_scheme=scheme, viewport=viewport)
    page.select_option("#other", "student")
    tag(page, "Ana lives in Porto with Bernardo\n" + "Long" * 500 + " x")
    for token in (0, 4, 5):
        page.keyboard.press("Escape")
        page.locator(".token").nth(token).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", dark)[:3])) < 200) == (scheme == "dark")
    assert page.evaluate(CONTRAST) == []
    for control in page.locator("textarea, select, input, button:not(.token)").all():
        expect(control).to_have_accessible_name(re.compile("."))
        if viewport is PHONE:
            assert control.bounding_box()["height"] >= 40


# Of all text that is seen, what has less than 4.5 to its background.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((x, i) => x * a + below[i] * (1 - a));
  const background = (node) => {
    if (!node) return [255, 255, 255];
    return over(rgba(getComputedStyle(node).backgroundColor), background(node.parentElement));
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((x) => {
      const share = x / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const texts = [...node.childNodes].filter((x) => x.nodeType === 3 && x.data.trim());
    if (!texts.length || !node.checkVisibility() || node.closest("noscript, option")) continue;
    const below = background(node);
    const text = over(rgba(getComputedStyle(node).color), below);
    const [low, high] = [luminance(below), luminance(text)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push(`${texts[0].data}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""


def test_nothing_moves_when_results_come(opened):
    page = opened()
    places = """["text", "model", "other", "tag", "results"].map(
      (id) => document.getElementById(id).getBoundingClientRect().top)"""
    before = page.evaluate(places)
    tag(page, "Ana sings")
    assert page.evaluate(places) == before
    page.fill("#text", "")
    page.evaluate("document.getElementById('text').required = false")
    page.click("#tag")
    expect(page.locator("#status")).to_have_class("error")
    assert page.evaluate(places) == before
