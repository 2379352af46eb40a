"""Parse an identity-based IAM policy, and decide whether it allows a call.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html. A statement has Sid, Effect, Action
and Resource, with the wildcards ``*`` and ``?``, and optionally a Condition with StringEquals. Other conditions,
NotAction, NotResource and policy variables are not supported: a policy with one of them is refused.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_ACTION = re.compile(r"\*|[a-z0-9-]+:[A-Za-z0-9*?]+")


class InvalidPolicyError(ValueError):
    """The JSON is not a supported policy; the message names the part and the reason."""


@dataclass(frozen=True)
class Permission:
    """A permission that a call needs: an action, such as ``s3:GetObject``, on a resource's ARN or on ``*``.

    ``context``: pairs of a condition key and the request's value for it.
    """

    action: str
    resource: str
    context: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Statement:
    """One statement of a policy; its wildcards are compiled to patterns."""

    allows: bool
    actions: tuple[re.Pattern[str], ...]
    resources: tuple[re.Pattern[str], ...]
    conditions: tuple[tuple[str, frozenset[str]], ...] = ()

    @classmethod
    def parse(cls, value: Any) -> "Statement":
        """Read a statement from decoded JSON, or raise InvalidPolicyError."""
        if not isinstance(value, dict):
            raise InvalidPolicyError(f"a statement must be a JSON object, not {json.dumps(value)}")
        name = f"statement {value['Sid']}" if value.get("Sid") else "a statement"
        for key in value:
            if key not in ("Sid", "Effect", "Action", "Resource", "Condition"):
                raise InvalidPolicyError(f"{name} has {key}, which the embedded AWS does not support")
        if value.get("Effect") not in ("Allow", "Deny"):
            raise InvalidPolicyError(f"{name} must have an Effect, Allow or Deny")
        actions, resources = _texts(name, "Action", value), _texts(name, "Resource", value)
        for action in actions:
            if not _ACTION.fullmatch(action):
                raise InvalidPolicyError(f"{name}: {action!r} is not an action: it must look like s3:GetObject")
        for resource in resources:
            if "${" in resource:
                raise InvalidPolicyError(f"{name}: {resource!r} has a placeholder or a policy variable: write the ARN")
            if resource != "*" and not resource.startswith("arn:"):
                raise InvalidPolicyError(f"{name}: {resource!r} is not an ARN: it must be * or begin with arn:")
        # The case of letters counts in resources, not in actions.
        return cls(
            value["Effect"] == "Allow",
            tuple(re.compile(_pattern(action), re.IGNORECASE) for action in actions),
            tuple(re.compile(_pattern(resource), re.DOTALL) for resource in resources),
            tuple(_conditions(name, value.get("Condition", {}))),
        )

    def covers(self, permission: Permission) -> bool:
        """Whether the statement applies to the permission's action, resource and context."""
        return (
            any(action.fullmatch(permission.action) for action in self.actions)
            and any(resource.fullmatch(permission.resource) for resource in self.resources)
            and all(any((key, value) in permission.context for value in values) for key, values in self.conditions)
        )


@dataclass(frozen=True)
class Policy:
    """A parsed policy and its original document."""

    document: dict[str, Any]
    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, value: Any) -> "Policy":
        """Read a policy from decoded JSON, or raise InvalidPolicyError."""
        if not isinstance(value, dict) or value.get("Version") != "2012-10-17":
            raise InvalidPolicyError('a policy must be a JSON object with "Version": "2012-10-17"')
        for key in value:
            if key not in ("Version", "Id", "Statement"):
                raise InvalidPolicyError(f"a policy has no member {key!r}: use Version, Id, Statement")
        statements = value.get("Statement")
        if isinstance(statements, dict):
            statements = [statements]
        if not isinstance(statements, list):
            raise InvalidPolicyError("a policy must have a Statement, an object or a list of objects")
        return cls(value, tuple(Statement.parse(statement) for statement in statements))

    def why_denied(self, permission: Permission) -> str:
        """The reason for a denial, as AWS phrases it; empty if allowed. A Deny overrides every Allow."""
        covering = [statement.allows for statement in self.statements if statement.covers(permission)]
        if not all(covering):
            return "with an explicit deny in an identity-based policy"
        return "" if covering else f"because no identity-based policy allows the {permission.action} action"


def _conditions(name: str, value: Any) -> Iterator[tuple[str, frozenset[str]]]:
    """The keys of a Condition, each with the accepted values: the request must have one of them."""
    if not isinstance(value, dict) or set(value) - {"StringEquals"}:
        raise InvalidPolicyError(
            f"{name} has a Condition that the embedded AWS does not support: use StringEquals alone"
        )
    wanted = value.get("StringEquals", {})
    for key in wanted:
        yield key, frozenset(_texts(name, key, wanted))


def _texts(name: str, key: str, value: dict[str, Any]) -> list[str]:
    texts = value.get(key)
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise InvalidPolicyError(f"{name} must have {key}, a text or a list of texts")
    return texts


def _pattern(text: str) -> str:
    return re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
