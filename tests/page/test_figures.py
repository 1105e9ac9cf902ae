import re

import matplotlib
import pytest

from convergan.page.figures import Line, line_chart, power_axis

LINE = Line("any", [1, 2, 3], [0.5, 0.25, 0.1], 0)


def test_a_figure_takes_its_colours_from_the_page() -> None:
    svg = line_chart([LINE], name="one", x_label="epoch", y_label="loss", marked=[2], reference=0.3)
    assert "var(--line-1)" in svg and "var(--warning)" in svg and "var(--soft)" in svg
    assert not re.search("#[0-9a-f]{6}", svg), "a colour that light and dark would share"
    assert "http" not in svg


def test_text_stays_text() -> None:
    svg = line_chart([LINE], name="one", x_label="epoch", y_label="error rate", percent=True)
    assert re.search(r"<text[^>]*>error rate</text>", svg)
    assert re.search(r"<text[^>]*>epoch</text>", svg)
    assert "45\N{NO-BREAK SPACE}%" in svg
    assert "<style" not in svg, "it would hold for the whole page"


def test_ids_of_two_figures_differ() -> None:
    ids = [
        set(
            re.findall(
                r'id="([^"]*)"', line_chart([LINE], name=name, x_label="epoch", y_label="loss")
            )
        )
        for name in ("one", "two")
    ]
    assert ids[0] and not ids[0] & ids[1]


def test_references_are_to_the_figures_own_ids() -> None:
    svg = line_chart([LINE], name="one", x_label="epoch", y_label="loss")
    ids = set(re.findall(r'id="([^"]*)"', svg))
    references = set(re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', svg))
    assert references and {url_id or href_id for url_id, href_id in references} <= ids


def test_the_users_own_style_changes_nothing() -> None:
    plain = line_chart([LINE], name="one", x_label="epoch", y_label="loss")
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "lines.linewidth": 9}):
        assert line_chart([LINE], name="one", x_label="epoch", y_label="loss") == plain
        assert matplotlib.rcParams["font.size"] == 30, "and is left as it was"


@pytest.mark.parametrize("values", [[0.5], [0.0], [-1.0]])
@pytest.mark.parametrize("epochs", [[1], [700]])
def test_one_epoch_is_a_point(epochs: list[int], values: list[float]) -> None:
    line = Line("any", epochs, values, 0)
    assert "<use" in line_chart([line], name="one", x_label="epoch", y_label="loss")


def test_small_numbers_on_an_axis_keep_their_digits() -> None:
    falling = Line("loss", [1, 2, 3], [1.0, 1e-2, 1e-4], 0)
    svg = line_chart([falling], name="one", x_label="epoch", y_label="loss", log=True)
    ticks = set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    assert {"0.001", "0.0001"} <= ticks and "0.00" not in ticks


def test_numbers_on_an_axis_have_one_form() -> None:
    falling = Line("loss", [1, 2, 3], [1.0, 1e-2, 1e-6], 0)
    svg = line_chart([falling], name="one", x_label="epoch", y_label="loss", log=True)
    ticks = set(re.findall(r"<text[^>]*>([^<]*)</text>", svg)) - {"epoch", "loss", "1", "2", "3"}
    assert {"10⁻⁶", "10⁻⁴", "10⁻²", "10⁰"} <= ticks
    assert all(tick.startswith("10") for tick in ticks)
    assert (power_axis(2e-5), power_axis(1e3)) == ("2 · 10⁻⁵", "10³")


def test_many_lines_of_one_figure_all_look_different() -> None:
    icons = [Line("any", [1], [1.0], style).icon for style in range(36)]
    assert len(set(icons)) == 36


def test_any_number_can_stand_on_the_horizontal_axis() -> None:
    line = Line("any", [0.2, 2.8], [10.0, 20.0], 0)
    ticks = {
        integer: line_chart(
            [line], name="one", x_label="minutes", y_label="loss", integer_x=integer
        )
        for integer in (True, False)
    }
    assert ">0.5<" in ticks[False] and ">0.5<" not in ticks[True]
