#!/usr/bin/env python3
"""Draws docs/benchmarks.svg from the tables between the benchmark marks of README.md.

    python3 benches/plot.py

Standard library only. Each table becomes a panel of bars on a logarithmic scale; the first columns
name the bar, the column `ns/event` is its length.
"""

import math
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLOURS = ["#2b6cb0", "#dd6b20", "#718096", "#38a169", "#b83280"]
LABEL, BAR, ROW, PAD = 300, 430, 17, 34


def tables(text):
    """The tables with a column `ns/event`, each with the heading before it."""
    heading, rows = "", []
    for line in text.splitlines() + [""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if len(rows) > 2 and "ns/event" in rows[0]:
            yield heading, rows[0], rows[2:]
        rows = []
        if line.startswith("#"):
            heading = line.lstrip("# ")


def number(cell):
    return float(re.sub(r"[^0-9.]", "", cell.replace(",", "")))


def panel(heading, columns, rows, top, colours):
    at = columns.index("ns/event")
    bars = [(" · ".join(row[:at]), row[at - 1], number(row[at])) for row in rows]
    low = 10 ** math.floor(math.log10(min(bar[2] for bar in bars)))
    span = math.log10(max(bar[2] for bar in bars) / low)
    out = [f'<text x="8" y="{top + 14}" class="h">{heading} (ns per event, log scale)</text>']
    y = top + PAD
    for label, name, value in bars:
        colour = colours.setdefault(name, COLOURS[len(colours) % len(COLOURS)])
        width = max(2, BAR * math.log10(value / low) / span)
        out.append(f'<text x="{LABEL - 6}" y="{y + 11}" class="l">{label}</text>')
        out.append(f'<rect x="{LABEL}" y="{y}" width="{width:.0f}" height="13" fill="{colour}"/>')
        out.append(f'<text x="{LABEL + width + 5:.0f}" y="{y + 11}">{value:,.0f}</text>')
        y += ROW
    return out, y + 10


def main():
    text = (ROOT / "README.md").read_text()
    text = text.split("<!-- benchmarks -->")[1].split("<!-- /benchmarks -->")[0]
    body, top, colours = [], 4, {}
    for heading, columns, rows in tables(text):
        lines, top = panel(heading, columns, rows, top, colours)
        body += lines
    style = (
        "text{font:11px sans-serif;fill:#2d3748}.h{font-weight:bold;font-size:13px}"
        ".l{text-anchor:end}"
    )
    width = LABEL + BAR + 90
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" '
        f'viewBox="0 0 {width} {top}">',
        f"<style>{style}</style>",
        f'<rect width="{width}" height="{top}" fill="#ffffff"/>',
        *body,
        "</svg>",
    ]
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "benchmarks.svg").write_text("\n".join(svg) + "\n")


if __name__ == "__main__":
    main()
