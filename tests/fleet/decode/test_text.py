"""A view as lines."""

import io

from fleet.decode.kinds import Options, decode
from fleet.decode.text import plain, write
from fleet.decode.view import Row, View


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_aligned_and_parts_are_indented():
    view = View("whole", rows=[Row("a", "1", "one", "says"), Row("long name", "100", "", "more")])
    view.parts.append(View("part", rows=[Row("b", "2")]))

    assert plain(view).splitlines() == [
        "whole",
        "  a          1    one  says",
        "  long name  100       more",
        "  part",
        "    b  2",
    ]


def test_a_column_of_long_cells_alone_is_shown():
    long = "read as the mask of UEFI 2.9A: cache, TLB"
    view = View("whole", rows=[Row("a", "1"), Row("b", "", "", long)])

    assert plain(view).splitlines()[2] == f"  b     {long}"


def test_no_line_ends_in_spaces():
    lines = plain(decode("esr", b"0xbe000411", Options())).splitlines()

    assert lines == [line.rstrip() for line in lines]


def test_away_from_a_terminal_there_are_no_colours():
    out = io.StringIO()

    write(decode("hcr", b"0x20", Options()), out)

    assert "\x1b" not in out.getvalue()
    assert "AMO [5]" in out.getvalue()


def test_on_a_terminal_the_same_words_stand_in_colour(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()

    write(decode("hcr", b"0x20", Options()), out)

    assert "\x1b[" in out.getvalue()
    assert "AMO [5]" in out.getvalue()
