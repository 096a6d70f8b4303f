"""Figures as small SVG: elements for a page, and files of several of them."""

import hashlib
import html
import io
import re
import string
from typing import TYPE_CHECKING, Sequence, Tuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Units of a figure: 1/72 inch.
_GAP = 12

_PAGE = "#ffffff"
_INK = "#000000"

ON_DARK = {
    _PAGE: "#16181c",
    _INK: "#e6e6e6",
    "#666666": "#a6a9ae",
    "#dddddd": "#3a3f47",
    "#0072b2": "#4aa8e0",
    "#d55e00": "#f08a3c",
    "#009e73": "#2cc79b",
    "#cc79a7": "#e09cc4",
}
"""What takes the place of a colour on a dark page; others do for both."""

# With the colour itself where there are no variables.
_VARIABLES = {
    colour: f"var(--{name},{colour})"
    for colour, name in zip(ON_DARK, string.ascii_letters, strict=False)
}
_DARK = ";".join(
    f"--{name}:{other}" for other, name in zip(ON_DARK.values(), string.ascii_letters, strict=False)
)
_STYLE = (
    # Text without a colour of its own is black.
    f"svg{{fill:{_VARIABLES[_INK]}}}@media(prefers-color-scheme:dark){{svg{{{_DARK}}}}}"
)


def element(label: str, figure: "Figure") -> str:
    """
    A figure as an `svg` element, which follows the reader's colour scheme.

    # Parameters

    label : `str`
        What a screen reader says. Elements of one page need different labels.
    figure : `Figure`
    """
    import matplotlib

    file = io.StringIO()
    # The ids of shapes are hashes of their content and of this salt, so figures of one page do not
    # share any.
    with matplotlib.rc_context({"svg.hashsalt": label}):
        figure.savefig(
            file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    svg = file.getvalue()
    view_box = re.search(r'viewBox="[^"]*"', svg)
    assert view_box is not None
    body = svg[svg.index("</style>\n </defs>") + len("</style>\n </defs>") :]
    # These make up a third of the text: ids of groups, rotations by 0 degrees, repeated fonts.
    for pattern, replacement in (
        (r'<g id="[^"]*"', "<g"),
        (r' transform="rotate\(-?0 [^"]*"', ""),
        (r"font-family: [^;\"]*; ", ""),
        (r"\n\s*", "\n"),
    ):
        body = re.sub(pattern, replacement, body)
    body = re.sub("<[^>]*>", lambda tag: _rounded(tag[0]), body)
    colours = f"(?<=: )({'|'.join(map(re.escape, _VARIABLES))})"
    body = re.sub(colours, lambda colour: _VARIABLES[colour[0]], body)
    # The same few styles come again and again, and would be two fifths of the text.
    classes = {style: _class(style) for style in re.findall(r'style="([^"]*)"', body)}
    body = re.sub(r'style="([^"]*)"', lambda style: f'class="{classes[style[1]]}"', body)
    styles = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    fonts = ", ".join(matplotlib.rcParams["font.sans-serif"])
    return (
        f'<svg {view_box[0]} role="img" aria-label="{html.escape(label)}" '
        f'font-family="{html.escape(fonts)}, sans-serif" stroke-linejoin="round">'
        f"<style>{_STYLE}{styles}</style>{body}"
    )


def image(elements: Sequence[str], columns: int) -> str:
    """
    The text of a file that shows several elements.

    # Parameters

    elements : `Sequence[str]`
        By `element`.
    columns : `int`
        How many elements to put side by side.
    """
    parts = []
    width = height = y = 0.0
    for i in range(0, len(elements), columns):
        row = [(one, *_size(one)) for one in elements[i : i + columns]]
        x = 0.0
        for one, own_width, own_height in row:
            place = f'x="{x:g}" y="{y:g}" width="{own_width:g}" height="{own_height:g}"'
            parts.append(one.replace("<svg ", f"<svg {place} ", 1))
            x += own_width + _GAP
        width = max(width, x - _GAP)
        height = y + max(own_height for _, _, own_height in row)
        y = height + _GAP
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{width:g}pt" height="{height:g}pt" viewBox="0 0 {width:g} {height:g}">',
            f'<rect width="100%" height="100%" style="fill: {_VARIABLES[_PAGE]}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _size(one: str) -> Tuple[float, float]:
    found = re.search(r'viewBox="0 0 (\S+) (\S+)"', one)
    assert found is not None
    return float(found[1]), float(found[2])


def _class(style: str) -> str:
    """By its content, as the figures of a page share their classes."""
    return f"s{hashlib.sha256(style.encode()).hexdigest()[:6]}"


def _rounded(tag: str) -> str:
    """Coordinates are rounded to a hundredth of a unit, which nobody sees."""
    return re.sub(r"-?\d+\.\d{3,}", lambda x: f"{float(x[0]):.2f}".rstrip("0").rstrip("."), tag)
