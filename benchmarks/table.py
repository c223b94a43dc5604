"""Tables on standard output, as aligned text or as Markdown."""

# ruff: noqa: T201 - a table on standard output is what this is for

from __future__ import annotations

from collections.abc import Sequence

Cell = str | int | float | None


class Report:
    """Prints tables as they are ready; `markdown` chooses pipes in place of spaces."""

    def __init__(self, markdown: bool) -> None:
        self._markdown = markdown

    def say(self, text: str = "") -> None:
        """A line between tables, printed at once."""
        print(text, flush=True)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Rows under their heads; numbers to the right, None left empty, seconds and ratios with two digits."""
        shown = [[_shown(cell) for cell in row] for row in rows]
        right = [bool(rows) and all(not isinstance(row[at], str) for row in rows) for at in range(len(heads))]
        if self._markdown:
            print("| " + " | ".join(heads) + " |")
            print("|" + "|".join("---:" if each else "---" for each in right) + "|")
            for row in shown:
                print("| " + " | ".join(row) + " |")
        else:
            widths = [max([len(heads[at]), *(len(row[at]) for row in shown)]) for at in range(len(heads))]
            for row in [list(heads), *shown]:
                cells = [
                    cell.rjust(width) if numeric else cell.ljust(width)
                    for cell, width, numeric in zip(row, widths, right, strict=True)
                ]
                print("  ".join(cells).rstrip())
        print(flush=True)


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.2f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
