"""Files that people ask for: written, printed where the path is ``-``, or refused before the work."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.table import Table

from lingraft.atoms import DataError
from lingraft.measure.output import STDOUT, print_table, put, require_places


def test_a_file_is_written_and_named_and_a_dash_is_standard_output(tmp_path, capsys):
    path = tmp_path / "x.json"
    put(path, lambda: "{}")
    said = capsys.readouterr()
    assert (path.read_text(), said.out, said.err) == ("{}", "", f"wrote {path}\n")
    put(Path("-"), lambda: "{}")
    assert capsys.readouterr().out == "{}\n"
    put(None, lambda: pytest.fail("nobody asked for it"))


def test_the_table_gives_way_to_json(capsys):
    table = Table("heading")
    for path in (None, Path("x.json")):
        print_table(table, path)
        assert "heading" in capsys.readouterr().out
    print_table(table, STDOUT)
    assert capsys.readouterr().out == ""


def test_places_are_looked_at_before_the_work(tmp_path):
    require_places(None, None, tmp_path / "new")
    require_places(STDOUT, tmp_path / "new")
    with pytest.raises(DataError, match="`-` must be where JSON goes"):
        require_places(None, STDOUT)
    for path in (tmp_path, tmp_path / "none" / "x"):
        with pytest.raises(DataError, match="must be a file in a folder that exists"):
            require_places(path)
