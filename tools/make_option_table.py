"""Writes the tables of options in docs/options.md from crossent/_options.py.

    python tools/make_option_table.py

`tests/test_types.py` proves that the page is current.
"""

from pathlib import Path

from crossent import _options

PAGE = Path(__file__).parents[1] / "docs" / "options.md"
BEGIN, END = "<!-- tools/make_option_table.py writes this -->\n", "<!-- to here -->\n"

PLACES = {"class": "class", "call": "call", "both": "class, call"}


def rows(*tables):
    """One row for each option that any of the tables has."""
    options = {o.name: o for table in reversed(tables) for o in table.options}
    order = dict.fromkeys(name for table in tables for name in table.names)
    for name in order:
        o = options[name]
        default = "" if o.default is None else f"`{o.default!r}`".replace("'", '"')
        having = ", ".join(f"`{t.owner}`" for t in tables if name in t.names)
        both = len(tables) == sum(name in t.names for t in tables)
        only = "" if both else f" Only {having}."
        kind = o.kind.replace("|", "\\|")
        yield f"| `{name}` | {kind} | {default} | {PLACES[o.where]} | {o.line}{only} |"


def table_of(*tables):
    head = "| option | type | default | of | meaning |\n|---|---|---|---|---|\n"
    return head + "\n".join(rows(*tables)) + "\n"


def written(text):
    """The page with its tables written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = (
        "Of rows: `softmax_cross_entropy` and `categorical_cross_entropy`.\n\n"
        + table_of(_options.SOFTMAX, _options.CATEGORICAL)
        + "\nOf elements: `sigmoid_cross_entropy` and `binary_cross_entropy`.\n\n"
        + table_of(_options.SIGMOID, _options.BINARY)
    )
    return before + BEGIN + "\n" + tables + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
