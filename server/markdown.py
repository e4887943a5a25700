"""Markdown written by researchers as HTML that is safe to show to anybody."""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
# No images: they would load from other hosts. No ids or classes: they could pose as ours.
_TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote"),
    *("ul", "ol", "li", "h3", "h4", "h5", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href"}, "ol": {"start"}}


def to_html(text: str) -> Markup:
    """Render Markdown; markup in it is shown as text, and only plain elements come out.

    Its headings start two levels down: the page has its own.
    """
    tokens = _PARSER.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(5, int(token.tag[1:]) + 2)}"
    html = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return Markup(
        nh3.clean(
            html,
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )
    )
