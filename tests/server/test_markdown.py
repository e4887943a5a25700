from __future__ import annotations

import re

import pytest

from server.markdown import to_html


def test_markdown_becomes_html() -> None:
    html = to_html("# Goal\n\n*Coins* first:\n\n1. coin\n2. no **saw**\n\n[rules](https://x.org/a)")
    assert "<h3>Goal</h3>" in html
    assert "<em>Coins</em>" in html
    assert "<li>no <strong>saw</strong></li>" in html
    assert '<a href="https://x.org/a" rel="noopener noreferrer nofollow">rules</a>' in html


def test_tables_stay_tables() -> None:
    assert "<td>bad</td>" in to_html("| saw | |\n|---|---|\n| touched | bad |")


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](JaVaScRiPt&colon;alert(1))",
        "[click](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](https://evil.example/pixel.png)",
        '[x](https://a.example "onmouseover=alert(1)")',
        "<a href='javascript:alert(1)'>x</a>",
        "`<script>alert(1)</script>`",
        '<https://a.example/"onmouseover=alert(1)>',
        "<style>body{display:none}</style>",
        "<iframe src=//evil.example></iframe>",
        "[x]: javascript:alert(1)\n\n[x]",
        "<!--><script>alert(1)</script>-->",
        "</div><form action=//evil.example><input name=a>",
    ],
)
def test_no_script_style_or_foreign_content_comes_out(attack: str) -> None:
    html = to_html(attack)
    elements = re.findall(r"<[^>]*>", html)
    assert all(re.fullmatch(r"</?(p|code|em|strong|a)\b[^<]*>", tag) for tag in elements), html
    for tag in elements:
        names = re.findall(r"([\w-]+)=", re.sub(r'"[^"]*"', "", tag))
        assert set(names) <= {"href", "rel", "title"}, html
        assert not re.search(r"javascript:|data:", tag, re.I), html
