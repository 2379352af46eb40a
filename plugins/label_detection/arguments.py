"""Arguments of the operators that need no configuration, checked by the rules of the options with those names."""

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
    """The names of a task's arguments, for error messages.

    :param options: argument name to option name, for each argument whose name differs from its option's.
    """

    options: Mapping[str, str] = field(default_factory=dict)

    def name(self, option: str) -> str:
        """Name of the argument for an option."""
        return f"argument {self._argument(option)}"

    def where(self, option: str) -> str:
        """Where the option is set."""
        return f"the argument {self._argument(option)}"

    def where_missing(self, option: str) -> str:
        """What to do when the option is None or empty."""
        return f"give the argument {self._argument(option)}"

    def _argument(self, option: str) -> str:
        return next((argument for argument, found in self.options.items() if found == option), option)

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """Settings from argument names and values. :raises AirflowFailException: one line per wrong argument."""
        by_option = {self.options.get(argument, argument): value for argument, value in values.items()}
        return _failing(lambda: load(by_option.get, None, self))

    def checked(self, **values: Any) -> dict[str, Any]:
        """The converted values, each checked alone. :raises AirflowFailException: one line per wrong argument."""
        return _failing(lambda: load_some(values, self))

    def model(self, model_arn: str, aws_conn_id: str) -> PlannedModel:
        """The model of an ARN and its connection. :raises AirflowFailException: when one of the arguments is wrong."""
        return PlannedModel(**self.checked(model_arn=model_arn, aws_conn_id=aws_conn_id))


def _failing(check: Callable[[], _T]) -> _T:
    try:
        return check()
    except SettingsError as error:  # a retry would not help
        raise AirflowFailException(str(error)) from None
