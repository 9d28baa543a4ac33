"""The page in a browser: what it shows, that it changes, and what it does when the server is silent or hostile."""

from __future__ import annotations

import shutil
from typing import Any, Iterator, List

import pytest

from tests.monitor.scripted_server import ScriptedServer, publication, status

pytest.importorskip("selenium", reason="selenium is not installed: pip install '.[dev]'")
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Debian's packages chromium and chromium-driver"),
]

LOWEST_CONTRAST = """
const channel = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parts(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
let lowest = [99, ""];
for (const element of document.body.querySelectorAll("*")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || !element.getClientRects().length) continue;
  const style = getComputedStyle(element);
  const ink = parts(element instanceof SVGElement ? style.fill : style.color);
  const [a, b] = [light(ink), light(ground(element))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < lowest[0]) lowest = [ratio, element.outerHTML.slice(0, 90)];
}
return lowest;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    size = {"width": 1366, "height": 768, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield driver
    driver.quit()


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer(status([publication(number) for number in range(1, 31)]))


def text_of(browser: Any, name: str) -> str:
    return str(browser.execute_script("return document.getElementById(arguments[0]).textContent", name))


def wait_for(browser: Any, name: str, words: str) -> None:
    WebDriverWait(browser, 30, 0.1).until(lambda _: words in text_of(browser, name), f"{words} in #{name}")


def opened(browser: Any, port: int, words: str = "version ") -> None:
    browser.get_log("browser")
    browser.get(f"http://127.0.0.1:{port}/")
    wait_for(browser, "served", words)


def count(browser: Any, selector: str) -> int:
    return len(browser.find_elements(By.CSS_SELECTOR, selector))


def errors(browser: Any) -> List[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_figures_and_curves_appear_and_change(browser: Any, server: ScriptedServer) -> None:
    with server.running() as port:
        opened(browser, port, "version 30")
        assert text_of(browser, "throughput") == "17,500 rows/s"
        assert text_of(browser, "lag") == "12 messages"
        assert text_of(browser, "freshness") == "3.1 s"
        assert text_of(browser, "requests") == "118 /s"
        assert count(browser, ".chart") == 4
        assert count(browser, ".chart circle.point.first") == 4 * 30
        assert count(browser, ".chart rect.point.second") == 3 * 30
        assert count(browser, "#publications tbody tr") == 20
        cells = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#tables tbody td")]
        assert cells == ["deep", "427,000", "400,000", "62.5", "1,200"]
        later = [publication(number) for number in range(1, 31)]
        server.status = status([*later, publication(31, samples_per_s=99_000.0, lag_messages=1.0)])
        wait_for(browser, "served", "version 31")
        assert text_of(browser, "throughput") == "99,000 rows/s"
        assert text_of(browser, "lag") == "1 message"
        assert count(browser, ".chart circle.point.first") == 4 * 31
        assert errors(browser) == []


def test_a_held_publication_is_marked_and_its_reason_is_text(browser: Any, server: ScriptedServer) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\"><b>bold</b>"
    server.status = status(
        [publication(1), publication(2, held=hostile), publication(3, held="AUC 0.51")], name=hostile
    )
    with server.running() as port:
        opened(browser, port)
        assert count(browser, ".chart .held") == 2 * 4
        row = browser.find_elements(By.CSS_SELECTOR, "#publications tbody tr")[1]
        assert row.find_elements(By.TAG_NAME, "td")[-1].text == f"✖ held back: {hostile}"
        assert text_of(browser, "name") == hostile
        assert "AUC 0.51" in text_of(browser, "standing-words")
        assert count(browser, "img, b") == 0
        assert browser.title.startswith("held back")
        assert errors(browser) == []


def test_silence_is_said_and_ends(browser: Any, server: ScriptedServer) -> None:
    with server.running() as port:
        opened(browser, port)
    wait_for(browser, "silence", "No answer from the server since ")
    assert browser.find_element(By.ID, "silence").is_displayed()
    assert "stale" in browser.find_element(By.ID, "figures").get_attribute("class")
    server.code = 503
    with server.running(port):
        wait_for(browser, "silence", "it answers with status 503")
        server.code = 200
        WebDriverWait(browser, 30, 0.1).until(lambda _: not browser.find_element(By.ID, "silence").is_displayed())
        assert "stale" not in browser.find_element(By.ID, "figures").get_attribute("class")


def test_a_token_is_asked_for_and_kept_for_the_session(browser: Any, server: ScriptedServer) -> None:
    server.token = "sesame"  # noqa: S105
    with server.running() as port:
        browser.get(f"http://127.0.0.1:{port}/")
        field = browser.find_element(By.ID, "token")
        for typed in ("wrong", "sesame"):
            WebDriverWait(browser, 30, 0.1).until(lambda _: field.is_displayed())
            field.send_keys(typed, Keys.ENTER)
            if typed == "wrong":
                wait_for(browser, "access-words", "did not take")
        wait_for(browser, "served", "version 30")
        assert not field.is_displayed()
        opened(browser, port)  # again: it is remembered
        assert "sesame" not in browser.current_url
        assert set(server.asked) == {"", "Bearer wrong", "Bearer sesame"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_laptop_and_can_be_read(browser: Any, server: ScriptedServer, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    long = "x" * 300
    server.status["publications"][-2]["held"] = f"{long} held"
    server.status["name"] = long
    server.status["refused"] = long
    with server.running() as port:
        opened(browser, port)
        wide = browser.execute_script("return [document.documentElement.scrollWidth, document.body.clientWidth]")
        assert wide[0] <= 1366 and wide[1] <= 1366
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(20, 23, 26)"}[scheme]
        ratio, where = browser.execute_script(LOWEST_CONTRAST)
        assert ratio >= 4.5, where


def test_points_are_read_with_the_keyboard_and_the_mouse(browser: Any, server: ScriptedServer) -> None:
    with server.running() as port:
        opened(browser, port)
        ActionChains(browser).send_keys(Keys.TAB).perform()
        plot = browser.switch_to.active_element
        assert plot.get_attribute("role") == "slider"
        assert plot.accessible_name == "AUC, of each publication"
        assert plot.get_attribute("aria-valuetext").startswith("version 30, ")
        ActionChains(browser).send_keys(Keys.HOME, Keys.ARROW_RIGHT).perform()
        assert plot.get_attribute("aria-valuetext").startswith("version 2, ")
        assert plot.find_element(By.CLASS_NAME, "tip").text.startswith("version 2, ")
        calibration = browser.find_elements(By.CLASS_NAME, "plot")[2]
        ActionChains(browser).move_to_element_with_offset(calibration, 400 - 260, 0).perform()
        assert calibration.find_element(By.CLASS_NAME, "tip").text.startswith("version 30, ")


def test_empty_states_are_in_words(browser: Any, server: ScriptedServer) -> None:
    server.status = status([], requests={"count": 0, "failed": 0, "rate_per_s": 0.0, "p50_ms": None, "p99_ms": None})
    with server.running() as port:
        opened(browser, port, "nothing yet")
        said = browser.find_element(By.TAG_NAME, "body").text
        for words in ("No version is served yet", "no publication yet", "There is no publication yet", "none yet"):
            assert words in said
        assert count(browser, "table:not([hidden])") == 0
        assert errors(browser) == []


@pytest.mark.parametrize("value", [None, "x", -1, [], [None], {}])
def test_values_of_other_types_break_nothing(browser: Any, server: ScriptedServer, value: Any) -> None:
    whole = server.status
    for key in whole:
        if key != "version":
            whole = {**whole, key: value}
    with server.running() as port:
        server.status = whole
        opened(browser, port)
        assert not browser.find_element(By.ID, "silence").is_displayed()
        assert errors(browser) == []
