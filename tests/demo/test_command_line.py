"""The demo's command line: what it refuses, in one line."""

import pytest

from demo.__main__ import main


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "azure"], "--model: must be rekognition, sagemaker or lookoutvision, not 'azure'"),
        (["--pipelines", "3"], "--pipelines: invalid choice: '3'"),
        (["--pipelines", "2", "--model", "sagemaker"], "leave --model out"),
        (["--pipelines", "2", "up"], "--pipelines is for the demo alone"),
        (["--model", "sagemaker", "results"], "--model is for the demo and for up"),
        (["--env", ".env"], "--env is for put and results"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_what_makes_no_sense_is_said_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
