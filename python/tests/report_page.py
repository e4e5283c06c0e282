"""Checks of one report page."""

import time

from axe_playwright_python.sync_playwright import Axe


def wait_until(page, script, argument=None, seconds=60):
    """Waits for a script to be true. Playwright's own waiting evaluates strings, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(script, argument):
        assert time.monotonic() < end, f"not within {seconds} s: {script}"
        page.wait_for_timeout(50)


class Watched:
    """A page whose complaints and requests are kept."""

    def __init__(self, browser, url, **context):
        self.context = browser.new_context(**({"viewport": {"width": 1200, "height": 900}} | context))
        self.page = self.context.new_page()
        self.url = url
        self.complaints, self.requests, self.dialogs = [], [], []
        self.page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.goto(url)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.quiet()
        self.context.close()

    def quiet(self):
        """Nothing went wrong, and nothing but the page itself and the pictures within it was asked for."""
        assert not self.complaints, self.complaints
        assert not self.dialogs, self.dialogs
        foreign = [url for url in self.requests if not url.startswith(("data:", self.url))]
        assert not foreign, foreign

    def whole(self):
        """Opens everything and scrolls through the page, so that every chart is drawn."""
        page = self.page
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        height = page.evaluate("document.documentElement.scrollHeight")
        for top in range(0, height + 900, 700):
            page.evaluate(f"window.scrollTo({{top: {top}, behavior: 'instant'}})")
            page.wait_for_timeout(20)
        wait_until(
            page, "[...document.querySelectorAll('figure.chart')].every((f) => f.querySelector('svg'))"
        )
        page.evaluate("window.scrollTo({top: 0, behavior: 'instant'})")
        return page


MARKS = """() => Object.fromEntries([...document.querySelectorAll('figure.chart')].map((figure) => [
    figure.dataset.chart,
    [...figure.querySelectorAll('svg [aria-label] :is(path, circle, rect, line)')].filter((mark) => {
        const box = mark.getBBox();
        return box.width + box.height > 0;
    }).length,
]))"""

BEHIND = """() => [...document.querySelectorAll('figure.chart')].every((figure) =>
    figure.querySelector('.plot').getAttribute('aria-label')
    && (figure.querySelector('table') || figure.closest('section').querySelector('table')))"""


def check_charts(page, expected):
    """The expected charts are there, each with marks, a name, and a table with its data."""
    found = page.evaluate(MARKS)
    for name in expected:
        assert any(known == name or known.startswith(f"{name}-") for known in found), (name, found)
    bare = {name: marks for name, marks in found.items() if marks < 2}
    assert not bare, bare
    assert page.evaluate(BEHIND)


def column(page, table, index):
    """What the cells of a column are sorted by."""
    script = f"(rows) => rows.map((row) => row.cells[{index}].dataset.sort ?? row.cells[{index}].textContent)"
    return page.eval_on_selector_all(f"#{table} tbody tr", script)


def check_sorting(page):
    header = page.locator("#stages thead th").nth(1)
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    values = [float(value) for value in column(page, "stages", 1)]
    assert values == sorted(values, reverse=True) and len(set(values)) > 2, values
    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert [float(value) for value in column(page, "stages", 1)] == sorted(values)
    name = page.locator("#stages thead th").nth(0)
    name.locator("button").focus()
    page.keyboard.press("Space")
    assert (name.get_attribute("aria-sort"), header.get_attribute("aria-sort")) == ("ascending", "none")
    texts = column(page, "stages", 0)
    assert texts == sorted(texts), texts


COLOURS = """() => {
    const of = (element, name) => element && getComputedStyle(element)[name];
    return [of(document.body, 'backgroundColor'), of(document.body, 'color'),
        of(document.querySelector('#funnel svg rect'), 'fill'),
        of(document.querySelector('#funnel svg'), 'color')];
}"""


def check_themes(page):
    page.emulate_media(color_scheme="light")
    light = page.evaluate(COLOURS)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(COLOURS)
    assert all(a is not None and a != b for a, b in zip(light, dark)), (light, dark)
    button = page.locator("#theme")
    for label, colours in (("Theme: light", light), ("Theme: dark", dark), ("Theme: automatic", dark)):
        button.click()
        assert button.text_content() == label
        assert page.evaluate(COLOURS) == colours, label
    page.emulate_media(color_scheme="light")


def check_axis(page):
    drawn = "document.querySelector('#curve svg').textContent"
    assert "explored candidates" in page.evaluate(drawn)
    page.locator("#curve input[value=time]").check()
    assert "time in" in page.evaluate(drawn)
    page.keyboard.press("ArrowLeft")
    assert "explored candidates" in page.evaluate(drawn)


def check_copying(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator("#losses .chosen button.copy").first
    text = page.locator("#losses .chosen .text code").first.text_content()
    button.click()
    wait_until(
        page, "[...document.querySelectorAll('#losses .copy')].some((b) => b.textContent === 'Copied')"
    )
    assert page.evaluate("navigator.clipboard.readText()") == text


def check_accessibility(page, name):
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page).response["violations"]
        grave = [
            (violation["id"], violation["impact"], [node["html"][:200] for node in violation["nodes"][:3]])
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]
        assert not grave, (name, scheme, grave)
    page.emulate_media(color_scheme="light")


# What scrolls sideways but not by keyboard, and texts that are cut.
STUCK = """() => [...document.querySelectorAll('main *')].filter((e) => e.scrollWidth > e.clientWidth + 1
    && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.tabIndex < 0)
    .map((e) => e.outerHTML.slice(0, 120))"""

CUT = """() => [...document.querySelectorAll('main :is(p, h2, h3, h4, dd, li, figcaption, summary)')].filter((e) =>
    e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && !e.querySelector('.formula, .scroll, pre'))
    .map((e) => e.outerHTML.slice(0, 160))"""


def check_narrow(browser, url, name):
    with Watched(browser, url, viewport={"width": 360, "height": 740}) as watched:
        page = watched.whole()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, (name, width)
        page.evaluate("window.scrollTo({left: 500, behavior: 'instant'})")
        assert page.evaluate("window.scrollX") == 0, name
        for script in (STUCK, CUT):
            found = page.evaluate(script)
            assert not found, (name, found)


# Of a group of radio buttons only the checked one is reached by tabulator.
FOCUSABLE = """() => [...document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]')].filter((e) =>
    e.checkVisibility() && !(e.type === 'radio' && !e.checked)).length"""

FOCUS = """() => {
    const active = document.activeElement, style = getComputedStyle(active);
    window.reached = (window.reached || new Set());
    if (active !== document.body) window.reached.add(active);
    return [active === document.body, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        active.outerHTML.slice(0, 120)];
}"""


def check_keyboard(page):
    """Everything that can be used is reached by tabulator, and shows that it has the focus."""
    expected = page.evaluate(FOCUSABLE)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator("a.skip").bounding_box()["y"] >= 0, "the skip link shows itself when it has the focus"
    for _ in range(expected):
        outside, visible, what = page.evaluate(FOCUS)
        assert outside or visible, what
        page.keyboard.press("Tab")
    reached = page.evaluate("window.reached.size")
    assert reached == expected, (reached, expected)
    page.locator("a.skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def check_structure(page):
    for landmark in ("header", "nav", "main", "footer"):
        assert page.locator(f"body > {landmark}").count() == 1, landmark
    assert page.locator("h1").count() == 1
    script = "(all) => all.filter((h) => h.checkVisibility()).map((h) => Number(h.tagName[1]))"
    levels = page.eval_on_selector_all("h1, h2, h3, h4", script)
    assert levels[0] == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:])), levels
    script = "(links) => links.filter((a) => a.checkVisibility() && !document.querySelector(a.hash)).length"
    assert page.eval_on_selector_all("nav a", script) == 0


def check_paper_and_calm(page):
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible() and not page.locator("#theme").is_visible()
    assert page.locator("#stages").is_visible()
    page.emulate_media(media="screen", reduced_motion="no-preference")
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    assert page.evaluate(behaviour) == "smooth"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(behaviour) == "auto"


INTRUDER = """() => {
    const script = document.createElement('script');
    script.textContent = 'window.intruder = 1';
    const markup = document.createElement('div');
    markup.innerHTML = '<img src="x" onerror="window.intruder = 2">';
    document.body.append(script, markup);
}"""


def check_policy(page):
    """A script that got into the page would not run, and nothing can be loaded or sent."""
    page.evaluate(INTRUDER)
    page.wait_for_timeout(100)
    assert page.evaluate("window.intruder") is None
    assert page.evaluate("fetch('https://example.com/').then(() => 'sent', () => 'refused')") == "refused"
