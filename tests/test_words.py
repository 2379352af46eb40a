"""The vocabulary is found wherever people read it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lint.words_in_code import main


# The words are in two pieces, because `make lint` checks this file as well.
@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        pytest.param("a.py", "# No" + "body reads this.\n", 1, id="a comment"),
        pytest.param("a.py", 'def f():\n    """It is to' + 'ld nothing."""\n', 1, id="a docstring"),
        pytest.param("a.py", 'raise ValueError("so ma' + 'ny images")\n', 1, id="an error"),
        pytest.param("a.py", 'KEY = "no' + 'body"\n', 0, id="a text of one word, which may be a key"),
        pytest.param("a.py", "no" + "body = 1\n", 0, id="a name"),
        pytest.param("a.html", "<p>ane" + "w</p>\n", 1, id="a template"),
        pytest.param("run", "# by ha" + "nd\n", 1, id="a shell script"),
        pytest.param("a.png", "ane" + "w\n", 0, id="a picture"),
        pytest.param("a.py", "# At most ten images.\n", 0, id="plain words"),
    ],
)
def test_words_that_must_be_decoded_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, found: int
) -> None:
    (tmp_path / name).write_text(text)
    assert main([str(tmp_path)]) == found
    assert capsys.readouterr().out.count("→") == found
