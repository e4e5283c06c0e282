"""Drives report pages in Chromium and checks what a reader sees.

report_browser.py pages PLAN    written pages; PLAN is JSON: {"pages": {name: file}, "hostile": text, "explored": number}
report_browser.py live URL      a served page; asks on standard output for "grow" and "end", and waits for a line
"""

import json
import os
import re
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from report_page import (
    Watched,
    check_accessibility,
    check_axis,
    check_charts,
    check_copying,
    check_keyboard,
    check_narrow,
    check_paper_and_calm,
    check_policy,
    check_sorting,
    check_structure,
    check_themes,
    column,
    wait_until,
)
from report_server import check_server

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
LIMIT_BYTES = 5_000_000
LIMIT_SECONDS = 2.0
STOPPED = "stopped before its final table"


def check_without_script(browser, url):
    with Watched(browser, url, java_script_enabled=False) as watched:
        text = watched.page.locator("main").inner_text()
        assert "The found loss" in text and "trained and scored" in text
        assert "needs JavaScript" in text


def check_whole(browser, url):
    with Watched(browser, url) as watched:
        page = watched.whole()
        check_structure(page)
        check_charts(page, ["comparison", "curve", "funnel", "shape"])
        text = page.locator("main").inner_text()
        for said in ("The found loss beats", "Gamed", "random search", "Candidate", "SHA-256", "[evolution]"):
            assert said in text, said
        pictures = "(all) => all.map((img) => [img.naturalWidth, img.alt !== ''])"
        assert page.eval_on_selector_all("#pictures img", pictures) == 4 * [[32, True]]
        # What is said of a whole column is said once.
        assert page.locator("#pictures thead small").all_text_contents() == ["test"]
        assert page.locator("#pictures td small").all_text_contents() == ["says 12", "says 40"]
        check_sorting(page)
        check_themes(page)
        check_axis(page)
        check_copying(page)
        check_paper_and_calm(page)
        watched.quiet()
        check_policy(page)
        # What the policy refused is complained of.
        watched.complaints.clear()
        watched.requests.clear()
    with Watched(browser, url) as watched:
        check_keyboard(watched.whole())
    check_without_script(browser, url)


def check_hostile(browser, url):
    with Watched(browser, url) as watched:
        page = watched.whole()
        page.wait_for_timeout(100)
        assert page.evaluate("window.hacked") is None
        foreign = "main :is(b, script, iframe, object, embed, foreignObject), img:not([src^='data:image/png;base64,'])"
        assert page.locator(foreign).count() == 0
        assert page.evaluate(
            "[...document.querySelectorAll('*')].every((e) => [...e.attributes].every((a) => !a.name.startsWith('on')))"
        )
        title = page.locator("h1").text_content()
        for part in ("<script>window.hacked=1</script>", "]]></script>-->", "&amp;", "\\u{202e}"):
            assert part in title, (part, title)
        seen = page.locator("body").inner_text() + page.title()
        assert "\u202e" not in seen and "\u2028" not in seen
        assert '<b>bold & "quoted" \'' in page.locator(".where").text_content()
        metrics = [name.strip() for name in column(page, "all-metrics", 0)]
        assert any(name.startswith("<script>") for name in metrics), metrics
        check_charts(page, ["comparison", "curve", "funnel"])


def check_bare(browser, url, name):
    """Runs that are not finished, whatever they lack."""
    verdict, charts = {
        "empty": ("Nothing has been explored yet.", []),
        "unscored": ("No loss has a score yet.", ["funnel"]),
        "interrupted": ("it has not been compared with a reference", ["curve", "funnel", "shape"]),
    }[name]
    with Watched(browser, url) as watched:
        page = watched.whole()
        check_structure(page)
        text = page.locator("main").inner_text()
        assert verdict in text, text
        assert not re.search(r"\b(NaN|undefined|null|inf)\b", text), text
        check_charts(page, charts)
        assert page.locator("#status").text_content() == STOPPED


def check_large(browser, path, explored):
    size = os.path.getsize(path)
    assert size < LIMIT_BYTES, size
    url = Path(path).as_uri()
    works = []
    for _ in range(3):
        with Watched(browser, url) as watched:
            page = watched.page
            session = watched.context.new_cdp_session(page)
            session.send("Performance.enable")
            page.locator("#stages thead button").nth(1).click()
            metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
            load = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
            # Work of the page's own thread: a busy machine makes it wait longer and work hardly more.
            works.append((metrics["TaskDuration"], load))
            assert f"{explored:,}" in page.locator("#summary").inner_text()
    work, load = min(works)
    print(
        f"the page of {explored:,} candidates: {size} bytes, {work:.2f} s of work, loaded after {load:.2f} s"
    )
    assert work < LIMIT_SECONDS, works
    with Watched(browser, url) as watched:
        check_charts(watched.whole(), ["curve", "funnel", "shape"])


def pages(browser, plan):
    paths = plan["pages"]
    urls = {name: Path(path).as_uri() for name, path in paths.items()}
    check_whole(browser, urls["whole"])
    check_hostile(browser, urls["hostile"])
    for name in ("empty", "unscored", "interrupted"):
        check_bare(browser, urls[name], name)
    with Watched(browser, urls["branches"]) as watched:
        page = watched.whole()
        check_charts(page, ["comparison", "curve", "funnel", "shape"])
        headings = page.locator("#shapes h3").all_text_contents()
        assert headings == ["Branch b0", "Branch b1"], headings
    for name in ("whole", "branches", "hostile", "endless", "empty"):
        check_narrow(browser, urls[name], name)
    for name in ("whole", "hostile", "empty"):
        with Watched(browser, urls[name]) as watched:
            check_accessibility(watched.whole(), name)
    check_large(browser, paths["large"], plan["explored"])


def ask(word):
    print(word, flush=True)
    assert sys.stdin.readline().strip() == "done"


HIDE = """(hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


def check_hidden(watched):
    """A hidden tab asks seldom, and at once when it is looked at again."""
    page = watched.page

    def asked():
        return sum("/update?have=" in url for url in watched.requests)

    page.evaluate(HIDE, True)
    page.wait_for_timeout(300)
    before = asked()
    page.wait_for_timeout(3000)
    assert asked() == before
    page.evaluate(HIDE, False)
    page.wait_for_timeout(300)
    assert asked() > before


def live(browser, url):
    check_server(url)
    with Watched(browser, url) as watched:
        page = watched.whole()
        status = page.locator("#status")
        assert status.text_content() == "live" and status.get_attribute("role") == "status"
        check_hidden(watched)
        page.evaluate(
            "window.mark = 1; document.querySelectorAll('details').forEach((d) => { d.open = false; })"
        )
        page.locator("#losses summary").first.click()
        page.locator("#curve input[value=time]").check()
        button = page.locator("#stages thead button").nth(1)
        button.click()
        button.focus()
        top = page.evaluate("scrollY")
        tiles = "document.querySelector('#summary .tiles').textContent"
        assert "400" in page.evaluate(tiles)
        drawn = "document.querySelector('#curve svg')?.outerHTML"
        before = page.evaluate(drawn)
        ask("grow")
        wait_until(page, f"{tiles}.includes('900')")
        # Nothing that the reader did was undone.
        assert page.evaluate("window.mark") == 1
        assert page.locator("#losses details").first.get_attribute("open") is not None
        assert page.locator("#curve input[value=time]").is_checked()
        assert page.locator("#stages thead th").nth(1).get_attribute("aria-sort") == "descending"
        assert page.evaluate("document.activeElement.closest('#stages') !== null")
        assert abs(page.evaluate("scrollY") - top) < 400
        page.locator("#curve").scroll_into_view_if_needed()
        wait_until(page, f"(before) => Boolean({drawn}) && {drawn} !== before", before)
        assert "time in" in page.locator("#curve svg").text_content()
        assert status.text_content() == "live"
        ask("end")
        wait_until(page, "document.querySelector('#status').textContent !== 'live'")
        assert status.text_content() == STOPPED
        have = "Object.entries(page.data.hashes).map((pair) => pair.join(':')).join(',')"
        watched.quiet()
        watched.context.set_offline(True)
        page.evaluate(HIDE, False)
        wait_until(page, "document.querySelector('#status').textContent === 'not connected'")
        watched.context.set_offline(False)
        wait_until(page, f"document.querySelector('#status').textContent === '{STOPPED}'")
        watched.complaints.clear()
        unchanged = page.evaluate(f"fetch('update?have=' + {have}).then((answer) => answer.json())")
        assert unchanged["parts"] == {}, list(unchanged["parts"])


def main():
    mode, argument = sys.argv[1:3]
    with sync_playwright() as playwright:
        program = os.environ.get("AUTOLOSS_CHROMIUM", "chromium")
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        if mode == "pages":
            pages(browser, json.loads(argument))
        else:
            live(browser, argument)
        browser.close()


main()
