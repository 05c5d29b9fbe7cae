"""Tables that are read while they are written."""

from pathlib import Path

from capsexp.csvfile import BoundedCsv
from capsexp.live.table import Growing


def test_rows_come_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    growing = Growing(path)
    path.write_text("a,b\n1,2\n3,")
    assert list(growing.rows()) == [{"a": "1", "b": "2"}]
    with path.open("a") as file:
        file.write('4\n"x, y",6\n')
    assert list(growing.rows()) == [{"a": "3", "b": "4"}, {"a": "x, y", "b": "6"}]
    assert list(growing.rows()) == []
    assert not growing.again


def test_a_header_that_is_half_written_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    growing = Growing(path)
    path.write_text("a,")
    assert list(growing.rows()) == []
    path.write_text("a,b\n1,2\n")
    assert list(growing.rows()) == [{"a": "1", "b": "2"}]


def test_a_table_that_is_thinned_out_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    table, growing = BoundedCsv(path, ("a",), most=4), Growing(path)
    for number in range(4):
        table.write([{"a": number}])
    table.flush()
    assert len(list(growing.rows())) == 4
    table.write([{"a": 4}])
    table.flush()
    again = [row["a"] for row in growing.rows()]
    assert growing.again
    assert again == ["0", "2", "4"]
    table.close()


def test_of_a_table_that_is_long_its_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("number\n" + "".join(f"{number:08d}\n" for number in range(600_000)))
    rows = list(Growing(path).rows())
    assert rows[-1] == {"number": "00599999"}
    assert 400_000 < len(rows) < 600_000
