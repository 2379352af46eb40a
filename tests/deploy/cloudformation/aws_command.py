"""A small `aws` command line that runs the commands in docs/ exactly as they are written.

The real AWS CLI is not installed, because it pins another version of botocore. This one supports every operation in
botocore's service models; `cloudformation deploy` and `wait`; `--query` with `--output text`; `file://`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import jmespath
from botocore import xform_name
from botocore.exceptions import ClientError


class CommandError(Exception):
    """The command failed; the message contains the cause."""


def options_of(words: Sequence[str]) -> dict[str, list[str]]:
    """Parse `--option value` arguments into a dictionary."""
    found: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            values = found.setdefault(word[2:], [])
        else:
            values.append(word)
    return found


def call(client: Any, operation: str, options: Mapping[str, Sequence[str]]) -> Any:
    """Call an operation and return its answer."""
    method = operation.replace("-", "_")
    shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape
    by_option = {xform_name(name, "-"): (name, member) for name, member in shape.members.items()}
    arguments = {}
    for option, values in options.items():
        name, member = by_option[option]
        if values[0].startswith("file://"):
            arguments[name] = json.loads(Path(values[0][7:]).read_text())
        else:
            arguments[name] = list(values) if member.type_name == "list" else values[0]
    answer = getattr(client, method)(**arguments)
    answer.pop("ResponseMetadata", None)
    return answer


def deploy(client: Any, options: Mapping[str, Sequence[str]]) -> None:
    """Create or update a stack with a change set. Parameters that are not given keep their values."""
    name, body = options["stack-name"][0], Path(options["template-file"][0]).read_text()
    given = dict(word.split("=", 1) for word in options.get("parameter-overrides", []))
    parameters: list[dict[str, Any]] = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
    try:
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        before = {parameter["ParameterKey"] for parameter in stack["Parameters"]}
        parameters += [{"ParameterKey": key, "UsePreviousValue": True} for key in sorted(before - set(given))]
        kind = "UPDATE"
    except ClientError:
        kind = "CREATE"
    change_set = {"StackName": name, "ChangeSetName": "deploy"}
    tags = [dict(zip(("Key", "Value"), tag.split("=", 1), strict=True)) for tag in options.get("tags", [])]
    client.create_change_set(
        **change_set, ChangeSetType=kind, TemplateBody=body, Parameters=parameters, Tags=tags, Capabilities=[]
    )
    client.execute_change_set(**change_set)
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise CommandError(f"Failed to create/update the stack: {stack['StackStatus']}")


def text_of(value: Any) -> Iterator[str]:
    """Format a value as `--output text` does: one line per inner list, with tabs between the values."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        yield from ("\t".join(str(one) for one in line) for line in value)
    else:
        yield "\t".join(str(one) for one in value) if isinstance(value, list) else str(value)


def run(words: Sequence[str]) -> str:
    """Run a command and return what it prints."""
    service, operation, *rest = words
    make: Callable[..., Any] = boto3.client
    client = make("s3" if service == "s3api" else service)
    if operation == "wait":
        waiter = rest[0].replace("-", "_")
        name = options_of(rest[1:])["stack-name"][0]
        client.get_waiter(waiter).wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        return ""
    options = options_of(rest)
    if (service, operation) == ("cloudformation", "deploy"):
        deploy(client, options)
        return ""
    query, output = options.pop("query", None), options.pop("output", ["json"])[0]
    answer = call(client, operation, options)
    answer = jmespath.search(query[0], answer) if query else answer
    if output == "text":
        return "".join(f"{line}\n" for line in text_of(answer))
    return f"{json.dumps(answer, default=str)}\n" if answer else ""


if __name__ == "__main__":
    try:
        sys.stdout.write(run(sys.argv[1:]))
    except (ClientError, CommandError) as error:
        sys.exit(f"aws: {error}")
