"""A console for commands whose output is read on a terminal or in a pipe."""

import textwrap

from rich.console import Console

WIDTH = 100  # columns in a pipe


def console() -> Console:
    """Return a console as wide as the terminal, in a pipe of 100 columns; no word is coloured or linked by itself."""
    out = Console(highlight=False, emoji=False)
    return out if out.is_terminal else Console(width=WIDTH, highlight=False, emoji=False)


def fill(text: str, width: int, first: str = "") -> str:
    """Return text wrapped at `width`, its lines below the first indented as far as `first` goes."""
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
