from __future__ import annotations

import io

import imageio.v3 as iio
import pytest

from learner.evaluation.figures import Stroke, draw

PNG = b"\x89PNG\r\n\x1a\n"


def stroke(label: str, level: float) -> Stroke:
    return Stroke(label, [0, 1e6], [level, level], [level - 0.1] * 2, [level + 0.1] * 2)


@pytest.mark.parametrize("lines", [1, 3, 9])
def test_each_line_is_drawn_in_a_colour_of_its_own(lines: int) -> None:
    strokes = [stroke(f"members {n}", float(n)) for n in range(lines)]
    png = draw(strokes, across="steps", up="return", caption="3 runs " * 40)
    assert png.startswith(PNG)
    picture = iio.imread(io.BytesIO(png))[..., :3].reshape(-1, 3)
    for colour in ((0x2F, 0x6F, 0xB2), (0xB7, 0x5A, 0x00), (0x23, 0x74, 0x4A))[:lines]:
        assert (abs(picture.astype(int) - colour).sum(axis=1) < 12).sum() > 200


def test_a_lone_point_and_no_lines_are_pictures_too() -> None:
    lone = Stroke("a", [5], [1.0], [1.0], [1.0])
    assert draw([lone], across="steps", up="return", caption="").startswith(PNG)
    assert draw([], across="score", up="share", caption="", shares=True).startswith(PNG)
