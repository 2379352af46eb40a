"""Arguments of the operators that need no configuration: checked as the options that they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow.sdk.exceptions import AirflowFailException

from label_detection.xcom import PlannedModel
from label_detection_core.config.settings import OptionPlace, Settings, SettingsError, load, load_some

_T = TypeVar("_T")


@dataclass(frozen=True)
class Arguments(OptionPlace):
    """A task's arguments, as its errors name them.

    :param options: the option that an argument is, where it has another name.
    """

    options: Mapping[str, str] = field(default_factory=dict)

    def name(self, option: str) -> str:
        """The argument that is an option."""
        return f"argument {self._argument(option)}"

    def where(self, option: str) -> str:
        """Where it is set."""
        return f"the argument {self._argument(option)}"

    def where_missing(self, option: str) -> str:
        """What to do about one that is None or empty."""
        return f"give the argument {self._argument(option)}"

    def _argument(self, option: str) -> str:
        return next((argument for argument, found in self.options.items() if found == option), option)

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """Settings by arguments, by name. :raises AirflowFailException: with a line for each that is wrong."""
        by_option = {self.options.get(argument, argument): value for argument, value in values.items()}
        return _failing(lambda: load(by_option.get, None, self))

    def checked(self, **values: Any) -> dict[str, Any]:
        """Arguments, each checked alone. :raises AirflowFailException: with a line for each that is wrong."""
        return _failing(lambda: load_some(values, self))

    def model(self, model_arn: str, aws_conn_id: str) -> PlannedModel:
        """The model that two arguments name. :raises AirflowFailException: when one of them is wrong."""
        return PlannedModel(**self.checked(model_arn=model_arn, aws_conn_id=aws_conn_id))


def _failing(check: Callable[[], _T]) -> _T:
    try:
        return check()
    except SettingsError as error:  # a retry would not help
        raise AirflowFailException(str(error)) from None
