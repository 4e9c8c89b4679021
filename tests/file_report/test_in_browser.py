"""The page of a file in Chromium: offline, its figures are the JSON's, by keyboard, read aloud, light and dark."""

import shutil

import pytest

from elastic.reporting import Table, read_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1100, "height": 900}

TABLES = """() => [...document.querySelectorAll("table")].map(table => ({
  title: table.caption.textContent,
  rows: [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => {
    const number = cell.querySelector("data");
    return number ? Number(number.value) : cell.textContent;
  })),
}))"""

FOCUSABLE = """() => [...document.querySelectorAll("a[href], summary, [tabindex='0']")]
  .filter(each => each.checkVisibility()).map(each => each.outerHTML.slice(0, 120))"""

FOCUSED = """() => {
  const found = document.activeElement, outline = getComputedStyle(found).outlineStyle;
  return found === document.body ? null : [found.outerHTML.slice(0, 120), outline];
}"""

# The contrast of every text with what lies behind it, by WCAG 2; text in pictures is shapes, which have a test beside.
CONTRASTS = """() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const found = channels(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const told = [...document.body.querySelectorAll("*")].filter(element =>
    !element.closest("svg, script") && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return told.map(element => {
    const pair = [light(channels(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  });
}"""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs a browser: install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: install the extra `test`")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS), timeout=120_000)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def open_page(browser, reported):
    """Open the page offline, at a size and in a colour scheme."""
    contexts = []

    def opened(viewport=DESK, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True, reduced_motion="reduce")
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(reported.page.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def page(open_page):
    return open_page()


def cell(value):
    return "–" if value is None else ("yes" if value else "no") if isinstance(value, bool) else value


def test_offline_the_page_opens_without_an_error_and_asks_for_nothing_else(page, reported):
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [reported.page.as_uri()]


def test_every_cell_of_every_table_is_that_of_the_json(page, reported):
    parts = read_report(reported.files).parts
    tables = {part.title: part if isinstance(part, Table) else part.numbers() for part in parts}
    found = {each["title"]: each["rows"] for each in page.evaluate(TABLES)}
    assert found == {title: [[cell(value) for value in row] for row in table.rows] for title, table in tables.items()}


def test_the_json_within_the_page_is_that_of_the_folder(page, reported):
    assert page.evaluate("() => JSON.parse(document.querySelector('#figures').textContent)") == reported.figures


def test_every_picture_has_a_name_that_tells_its_numbers(page, reported):
    names = [f"{part.title}. {part.told()}" for part in reported.report.parts if not isinstance(part, Table)]
    assert [page.get_by_role("img", name=name, exact=True).count() for name in names] == [1] * len(names)
    assert page.get_by_role("img").count() == len(names) == 6


def test_landmarks_are_there_once_and_headings_go_down_step_by_step(page, reported):
    assert [page.get_by_role(each).count() for each in ("banner", "navigation", "main", "contentinfo")] == [1] * 4
    headings = page.locator("h1, h2, h3").evaluate_all("all => all.map(each => [each.tagName, each.textContent])")
    titles = [section.title for section in reported.report.sections]
    assert headings == [["H1", reported.report.title], *(["H2", title] for title in (*titles, "Settings"))]


def test_the_keyboard_goes_through_everything_in_order_and_shows_where_it_is(open_page):
    page = open_page()
    wanted, reached = page.evaluate(FOCUSABLE), []
    for _ in wanted:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    assert [each and each[0] for each in reached] == wanted
    assert {outline for _, outline in reached} == {"solid"}


def test_the_first_stop_of_the_keyboard_skips_to_the_figures(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_numbers_behind_a_picture_open_by_keyboard(open_page):
    page = open_page()
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_paper(open_page, scheme):
    found = open_page(scheme=scheme).evaluate(CONTRASTS)
    assert len(found) > 100
    assert min(found) >= 4.5


def test_dark_paper_is_dark_and_light_paper_light(open_page):
    paper = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    assert max(open_page(scheme="dark").evaluate(paper)) < 40
    assert min(open_page(scheme="light").evaluate(paper)) > 240


def test_a_phone_needs_no_sideways_scrolling_and_wide_tables_scroll_alone(open_page):
    page = open_page(PHONE)
    assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    wide = page.get_by_role("group", name="Table: Levels of the file", exact=True)
    wide.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.scrollLeft > 0")


def test_nothing_moves(page):
    assert page.evaluate("() => document.getAnimations().length") == 0
    assert page.evaluate("() => getComputedStyle(document.documentElement).scrollBehavior") == "auto"
