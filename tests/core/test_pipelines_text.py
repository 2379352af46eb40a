"""The text of the pipelines option: what is read, and the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from label_detection_core.config.pipelines_text import UnreadableError, read


def from_yaml(folder: Path, text: str | bytes, name: str = "pipelines.yaml") -> dict[str, Any]:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read(name, [folder]).values


@pytest.mark.parametrize("name", ["pipelines.yaml", "p.yml", "P.YAML", "sub folder/p.yaml", "../p.yaml"])
def test_a_relative_path_is_looked_up_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "dags"
    (folder / "sub folder").mkdir(parents=True)
    (folder / name).write_text("a: {b: c}")
    found = read(f" {name}\n", [folder])
    assert (found.values, found.file) == ({"a": {"b": "c"}}, folder / name)


def test_a_relative_path_is_looked_for_in_one_folder_after_the_other(tmp_path: Path) -> None:
    first, second = folders = [tmp_path / "first", tmp_path / "second"]
    second.mkdir()
    (second / "p.yaml").write_text("second: {}")
    assert list(read("p.yaml", folders).values) == ["second"]
    first.mkdir()
    (first / "p.yaml").write_text("first: {}")
    assert list(read("p.yaml", folders).values) == ["first"]


def test_the_error_of_a_missing_file_names_every_searched_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError) as caught:
        read("p.yaml", [tmp_path / "first", tmp_path / "second"])
    assert [str(tmp_path / name / "p.yaml") in str(caught.value) for name in ("first", "second")] == [True, True]


def test_an_absolute_path_is_used_unchanged(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: {b: c}")
    assert read(str(tmp_path / "p.yaml"), [Path("/nowhere")]).values == {"a": {"b": "c"}}


def test_a_json_file_is_read_as_json(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, '{"a":\t{"b": 1}}', "p.json") == {"a": {"b": "1"}}


def test_json_itself_needs_no_file() -> None:
    found = read(' {"a": {"b": [1, 2.50, "c", true, null]}} ', [Path("/nowhere")])
    assert (found.values, found.file) == ({"a": {"b": ["1", "2.50", "c", "true", None]}}, None)


@pytest.mark.parametrize(
    ("written", "is_read_as"),
    [
        ("70", "70"),
        ("99.50", "99.50"),
        ("020", "020"),
        ("12:30", "12:30"),
        ("2026-11-22", "2026-11-22"),
        ("yes", "yes"),
        ("true", "true"),
        ("'70'", "70"),
        ("0 */2 * * *", "0 */2 * * *"),
        ("'@hourly'", "@hourly"),
        ("arn:aws:sns:eu-west-1:123456789012:a", "arn:aws:sns:eu-west-1:123456789012:a"),
        ("", None),
        ("~", None),
        ("null", None),
        ("''", ""),
        ("[1, no, x]", ["1", "no", "x"]),
    ],
)
def test_a_value_is_read_as_it_is_written(tmp_path: Path, written: str, is_read_as: Any) -> None:
    assert from_yaml(tmp_path, f"a:\n  b: {written}\n") == {"a": {"b": is_read_as}}


@pytest.mark.parametrize("name", ["2026", "on", "no", "1.5", "2026-11-22", "null"])
def test_a_name_is_read_as_it_is_written(tmp_path: Path, name: str) -> None:
    assert list(from_yaml(tmp_path, f"{name}: {{}}")) == [name]


def test_a_file_may_begin_with_a_byte_order_mark_and_have_windows_lines(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, b"\xef\xbb\xbfa:\r\n  b: \xc3\xa9\r\n") == {"a": {"b": "é"}}


def test_a_pipeline_may_merge_the_options_of_another(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  y: 3\nc:\n  <<: *b\n  z: 4\nd: *a\n"
    found = from_yaml(tmp_path, text)
    assert found["b"] == {"x": "1", "y": "3"}
    assert found["c"] == {"x": "1", "y": "3", "z": "4"}
    assert found["d"] == found["a"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "the content is empty", id="empty"),
        pytest.param("# a: 1\n", "the content is empty", id="only a comment"),
        pytest.param("{}", "the object contains no pipeline", id="no pipeline"),
        pytest.param("- a", "the content is a list: it must be an object", id="a list"),
        pytest.param("a", "the content is a text: it must be an object", id="a text"),
        pytest.param("a: {b: c", "line 2, column 1: ", id="broken off"),
        pytest.param("a:\n  schedule: @hourly\n", "line 2, column 13: ", id="a preset without quotes"),
        pytest.param("a:\n\tb: c\n", "line 2, column 1: ", id="a tab"),
        pytest.param("a: {}\nb: {}\na: {}\n", "line 3, column 1: the name 'a' is used twice", id="a name twice"),
        pytest.param("a:\n  b: 1\n  b: 2\n", "line 3, column 3: the name 'b' is used twice", id="an option twice"),
        pytest.param(
            "1: {}\n'1': {}\n", "line 2, column 1: the name '1' is used twice", id="a name twice, once in quotes"
        ),
        pytest.param(
            "a: {<<: {x: 1, x: 2}}", "line 1, column 16: the name 'x' is used twice", id="twice in what is merged"
        ),
        pytest.param("? [a]\n: {}\n", "line 1, column 3: a name must be text", id="a list as a name"),
        pytest.param("a: {}\n---\nb: {}\n", "line 2, column 1: ", id="two documents"),
        pytest.param("a: *b\n", "line 1, column 4: ", id="an alias of nothing"),
        pytest.param("a: &a {b: *a}\n", "line 1, column 4: ", id="an object within itself"),
        pytest.param("a: !!python/object/apply:os.getcwd []", "line 1, column 4: ", id="code"),
        pytest.param("a: " + "[" * 100_000, "line 1, column 23: the text is nested too deeply", id="very deep"),
        pytest.param("a: !mine b", "column 4: unknown YAML tag: fix", id="a user's own tag"),
        pytest.param(b"a: \xff\xff", "fix the YAML", id="not UTF-8"),
        pytest.param("a: \x01", "control characters", id="a control character"),
    ],
)
def test_the_error_of_unreadable_yaml_has_place_and_cause(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        from_yaml(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'pipelines.yaml'}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "line 1, column 2: ", id="broken off"),
        pytest.param('{\n "a": {},\n}', "line 3, column 1: ", id="a comma too many"),
        pytest.param("{'a': {}}", "line 1, column 2: ", id="single quotes"),
        pytest.param('{"a": {}, "a": {}}', "one object contains 'a' twice", id="a name twice"),
        pytest.param('{"a": {"b": 1, "b": 1}}', "one object contains 'b' twice", id="an option twice"),
        pytest.param("{}", "the object contains no pipeline", id="no pipeline"),
        pytest.param("[]", "the content is a list", id="a list"),
        pytest.param('"a"', "the content is a text", id="a text"),
        pytest.param('{"a": ' + "[" * 100_000, "nested too deeply", id="very deep"),
    ],
)
def test_the_error_of_unreadable_json_has_place_and_cause(text: str, says: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(text, [Path("/nowhere")])
    assert says in str(caught.value)


@pytest.mark.parametrize("value", ["pipelines", "a: {b: c}\n", "a: {b: c}\n# p.yaml", "p.txt", "5", "null"])
def test_the_error_of_other_text_names_json_and_file_path(value: str) -> None:
    with pytest.raises(UnreadableError, match="neither a JSON object"):
        read(value, [Path("/nowhere")])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=rf"^{tmp_path}/p\.yaml: there is no such file"):
        read("p.yaml", [tmp_path])


@pytest.mark.parametrize(("name", "says"), [("x" * 5000, "File name too long"), ("\0", "embedded null byte")])
def test_an_impossible_file_name_is_an_error_like_any_other(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(UnreadableError, match=says):
        read(f"{name}.yaml", [tmp_path])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").mkdir()
    with pytest.raises(UnreadableError, match=r"p\.yaml: the file cannot be read: Is a directory"):
        read("p.yaml", [tmp_path])


def test_an_error_repeats_nothing_of_the_file_but_names(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError) as caught:
        from_yaml(tmp_path, "a:\n  queue_url: https://user:secret@host/ : x\n")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param("!!int hush", "does not fit its tag", id="a number's tag"),
        pytest.param("!!timestamp hush", "does not fit its tag", id="a time's tag"),
        pytest.param("!hush", "unknown YAML tag", id="an unknown tag"),
    ],
)
def test_a_value_that_yaml_cannot_read_is_not_repeated(tmp_path: Path, value: str, says: str) -> None:
    with pytest.raises(UnreadableError, match=says) as caught:
        from_yaml(tmp_path, f"a:\n  aws_conn_id: {value}\n")
    assert "hush" not in str(caught.value)


def test_a_merge_of_anything_but_a_mapping_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="for merging"):
        from_yaml(tmp_path, "a:\n  <<: base\n")
