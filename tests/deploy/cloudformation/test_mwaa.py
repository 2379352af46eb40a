"""The template of an Amazon MWAA environment: network, bucket and role in the embedded AWS, the rest resolved here.

moto does not support AWS::MWAA::Environment, Rules or managed policies of a role, and forgets which subnet has which
routes. These tests resolve them, and compare the resulting environment with AWS's model of the call that creates one.
No test shows that MWAA accepts it.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from deploy.release.configure import AIRFLOW
from deploy.release.mwaa import pack
from label_detection_core.config.settings import PIPELINES, SECTION, Settings
from sandbox.environment import PROJECT
from tests.conftest import Aws

TEMPLATE = PROJECT / "deploy" / "cloudformation" / "mwaa.yaml"
PIPELINE = TEMPLATE.with_name("template.yaml")
ACCOUNT, REGION = "123456789012", "us-east-1"
MODEL_ARN = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/parts/version/1/1767225600000"
PROJECT_ARN = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/parts/1767225600000"
#: The parameters without a default.
REQUIRED = {
    "QueueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/pictures",
    "SourceBucket": "pictures-in",
    "FinalBucket": "pictures-out",
    "ModelArn": MODEL_ARN,
}
#: The parameters that create the environment.
MADE = {"MakeEnvironment": "yes", "PluginsVersion": "v1", "RequirementsVersion": "v2"}
EXISTING = {
    "ExistingSubnet1": "subnet-11111111",
    "ExistingSubnet2": "subnet-22222222",
    "ExistingSecurityGroup": "sg-33333333",
}
#: A new network. Only the network's tests create one, because moto does not delete it.
NETWORK = dict.fromkeys(EXISTING, "")
_NO_VALUE = object()
_NUMBERS = itertools.count()


class Template:
    """The template with parameters. A `Ref` or `GetAtt` of a resource becomes its name in angle brackets."""

    def __init__(self, **given: str) -> None:
        self._template: Any = cfn_yaml.load(str(TEMPLATE))
        defaults = {name: parameter.get("Default") for name, parameter in self.parameters().items()}
        self._values: dict[str, Any] = {
            **defaults,
            **REQUIRED,
            **given,
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": _NO_VALUE,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackName": "my-airflow",
            "AWS::URLSuffix": "amazonaws.com",
        }

    def parameters(self) -> dict[str, Any]:
        """The parameters as they are written."""
        found: dict[str, Any] = self._template["Parameters"]
        return found

    def resources(self) -> list[str]:
        """The logical ids of the resources that would be created."""
        return [
            name
            for name, resource in self._template["Resources"].items()
            if "Condition" not in resource or self._condition(resource["Condition"])
        ]

    def properties(self, name: str) -> dict[str, Any]:
        """A resource's properties."""
        found: dict[str, Any] = self._resolved(self._template["Resources"][name]["Properties"])
        return found

    def environment(self) -> dict[str, Any]:
        """The environment's properties."""
        return self.properties("Environment")

    def refused(self) -> bool:
        """Whether a rule forbids these parameters."""
        return any(
            not self._resolved(assertion["Assert"])
            for rule in self._template["Rules"].values()
            if self._resolved(rule.get("RuleCondition", True))
            for assertion in rule["Assertions"]
        )

    def _condition(self, name: str) -> bool:
        return bool(self._resolved(self._template["Conditions"][name]))

    def _resolved(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for value in map(self._resolved, node) if value is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((key, value),) = node.items()
            if key in self._FUNCTIONS:
                return self._FUNCTIONS[key](self, value)
        resolved = {key: self._resolved(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not _NO_VALUE}

    def _ref(self, name: str) -> Any:
        return self._values.get(name, f"<{name}>")

    def _if(self, arguments: list[Any]) -> Any:
        condition, yes, no = arguments
        return self._resolved(yes if self._condition(condition) else no)

    def _equals(self, arguments: list[Any]) -> bool:
        one, other = map(self._resolved, arguments)
        return bool(one == other)

    _FUNCTIONS: Mapping[str, Callable[[Template, Any], Any]] = {
        "Ref": _ref,
        "Condition": _condition,
        "Fn::GetAtt": lambda self, value: f"<{value[0]}>",
        "Fn::If": _if,
        "Fn::Equals": _equals,
        "Fn::Not": lambda self, value: not self._resolved(value[0]),
        "Fn::And": lambda self, value: all(map(self._resolved, value)),
        "Fn::Or": lambda self, value: any(map(self._resolved, value)),
        "Fn::Sub": lambda self, value: re.sub(r"\$\{(.+?)\}", lambda match: str(self._ref(match[1])), value),
    }


@dataclass(frozen=True)
class Stack:
    """Both stacks, as far as the embedded AWS creates them."""

    name: str
    pipeline: str
    resources: dict[str, str]

    def role(self) -> dict[str, Any]:
        """The execution role."""
        found: dict[str, Any] = boto3.client("iam").get_role(RoleName=self.resources["ExecutionRole"])["Role"]
        return found

    def policy(self) -> list[dict[str, Any]]:
        """The statements of the role's inline policy."""
        found: Any = boto3.client("iam").get_role_policy(
            RoleName=self.resources["ExecutionRole"], PolicyName="environment"
        )["PolicyDocument"]
        found = ast.literal_eval(found) if isinstance(found, str) else found  # moto stores it in Python's format
        statements: list[dict[str, Any]] = found["Statement"]
        return statements


Deploy = Callable[..., Stack]


@pytest.fixture
def deploy(aws: Aws) -> Iterator[Deploy]:
    """Deploy the pipeline's stack, and then the environment's with the outputs of the first."""
    stacks: Any = boto3.client("cloudformation")
    made: list[str] = []

    def create(template: Path, name: str, given: dict[str, str]) -> None:
        stacks.create_stack(
            StackName=name,
            TemplateBody=template.read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        made.append(name)

    def deploy(**given: str) -> Stack:
        number = next(_NUMBERS)
        pipeline, name = f"pipeline-{number}", f"airflow-{number}"
        create(PIPELINE, pipeline, {"ModelArn": MODEL_ARN, "ProjectArn": PROJECT_ARN})
        (found,) = stacks.describe_stacks(StackName=pipeline)["Stacks"]
        options = {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
        create(TEMPLATE, name, {**options, **EXISTING, **given})
        found = stacks.describe_stack_resources(StackName=name)["StackResources"]
        # moto also lists, without a name, what a condition excludes; not every created resource has an id.
        ids = {
            one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in found if "LogicalResourceId" in one
        }
        return Stack(name, pipeline, ids)

    yield deploy
    for name in reversed(made):
        with contextlib.suppress(stacks.exceptions.ClientError):  # moto begins with the VPC, which is not empty
            stacks.delete_stack(StackName=name)


def test_the_pipelines_outputs_are_parameters_by_their_names() -> None:
    outputs: Any = cfn_yaml.load(str(PIPELINE))["Outputs"]
    assert set(outputs) <= set(Template().parameters())


def test_the_environment_requires_the_options_that_the_pipeline_requires() -> None:
    asked = {name for name, parameter in Template().parameters().items() if "Default" not in parameter}
    assert asked == {_parameter(name) for name, field in Settings.model_fields.items() if field.is_required()}


@pytest.mark.parametrize("option", [*Settings.model_fields, PIPELINES])
def test_an_option_that_is_given_is_set(option: str) -> None:
    options = Template(**MADE, **{_parameter(option): "given"}).environment()["AirflowConfigurationOptions"]
    assert options[f"{SECTION}.{option}"] == "given"


def test_an_option_that_is_not_given_is_not_set() -> None:
    options = Template(**MADE).environment()["AirflowConfigurationOptions"]
    assert options == {f"{SECTION}.{_option(name)}": value for name, value in REQUIRED.items()} | AIRFLOW


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="with a network of its own"),
        pytest.param(EXISTING, id="in a network that is there"),
        pytest.param({"EnvironmentClass": "mw1.micro"}, id="of the smallest class"),
        pytest.param(dict.fromkeys(("WaitMinutes", "MaxTasks"), "1"), id="with more options"),
    ],
)
def test_awss_service_model_has_the_environments_properties(given: dict[str, str]) -> None:
    shape = botocore.session.get_session().get_service_model("mwaa").shape_for("CreateEnvironmentInput")
    properties = Template(**MADE, **given).environment()
    assert properties.pop("WorkerReplacementStrategy") == "GRACEFUL"  # only for CloudFormation's updates
    report = ParamValidator().validate(properties, shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize(
    ("environment_class", "counts"),
    [
        pytest.param("mw1.micro", (1, 1, 1), id="one of each, since it does not scale"),
        pytest.param("mw1.small", (2, 3, 4), id="as given"),
    ],
)
def test_workers_and_schedulers_are_what_the_class_can_have(
    environment_class: str, counts: tuple[int, int, int]
) -> None:
    given = {"EnvironmentClass": environment_class, "MinWorkers": "2", "MaxWorkers": "3", "Schedulers": "4"}
    environment = Template(**MADE, **given).environment()
    found = tuple(int(environment[name]) for name in ("MinWorkers", "MaxWorkers", "Schedulers"))
    assert found == counts


def test_no_worker_is_removed_by_default() -> None:
    environment = Template(**MADE).environment()
    assert environment["MinWorkers"] == environment["MaxWorkers"]


def test_the_environments_airflow_is_the_tested_one() -> None:
    pinned = re.search(r"^apache-airflow==(\S+)$", (PROJECT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert pinned
    assert Template(**MADE).environment()["AirflowVersion"] == pinned[1]


def test_the_environments_paths_are_those_of_the_package(tmp_path: Path) -> None:
    pack(tmp_path / "mwaa")
    environment = Template(**MADE).environment()
    paths = [environment[name] for name in ("DagS3Path", "PluginsS3Path", "RequirementsS3Path")]
    assert sorted(paths) == sorted(file.name for file in (tmp_path / "mwaa").iterdir())


def test_the_environment_uses_the_given_versions_of_the_package() -> None:
    environment = Template(**MADE).environment()
    assert (environment["PluginsS3ObjectVersion"], environment["RequirementsS3ObjectVersion"]) == ("v1", "v2")


def test_the_environments_name_is_the_one_in_its_role(deploy: Deploy) -> None:
    name = Template(**MADE).environment()["Name"]
    stack = deploy()
    assert name == "my-airflow"
    assert _may(stack, "airflow:PublishMetrics", f"arn:aws:airflow:{REGION}:{ACCOUNT}:environment/{stack.name}")


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        pytest.param({}, False, id="a bucket before its package is taken"),
        pytest.param(MADE, False, id="an environment with its package is taken"),
        pytest.param(MADE | {"PluginsVersion": ""}, True, id="an environment without plugins is refused"),
        pytest.param(MADE | {"RequirementsVersion": ""}, True, id="an environment without requirements is refused"),
        pytest.param(EXISTING, False, id="a network that is there is taken"),
        *(
            pytest.param(EXISTING | {name: ""}, True, id=f"a network that is there without its {name[8:]} is refused")
            for name in EXISTING
        ),
    ],
)
def test_parameters_that_cannot_work_are_refused_before_anything_is_created(
    given: dict[str, str], refused: bool
) -> None:
    assert Template(**given).refused() is refused


def test_without_a_package_there_is_no_environment() -> None:
    assert {"Environment"} == set(Template(**MADE).resources()) - set(Template().resources())


def test_private_subnets_are_in_two_zones_and_have_no_public_addresses(deploy: Deploy) -> None:
    subnets = _subnets(deploy(**NETWORK), "PrivateSubnet1", "PrivateSubnet2")
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
    assert [subnet["MapPublicIpOnLaunch"] for subnet in subnets] == [False, False]


@pytest.mark.parametrize(
    ("subnet", "way"),
    [
        pytest.param("PublicSubnet1", "GatewayId", id="the first public one by the internet gateway"),
        pytest.param("PublicSubnet2", "GatewayId", id="the second public one by the internet gateway"),
        pytest.param("PrivateSubnet1", "NatGatewayId", id="the first private one by the NAT gateway"),
        pytest.param("PrivateSubnet2", "NatGatewayId", id="the second private one by the NAT gateway"),
    ],
)
def test_a_subnet_has_one_way_out(deploy: Deploy, subnet: str, way: str) -> None:
    association = Template().properties(f"{subnet}Routes")
    assert association["SubnetId"] == f"<{subnet}>"
    stack = deploy(**NETWORK)
    table_id = stack.resources[association["RouteTableId"].strip("<>")]
    (table,) = _ec2().describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
    (route,) = [route for route in table["Routes"] if route.get("DestinationCidrBlock") == "0.0.0.0/0"]
    assert route[way] == stack.resources[{"GatewayId": "InternetGateway", "NatGatewayId": "NatGateway"}[way]]


def test_the_nat_gateway_is_in_a_public_subnet_with_an_address(deploy: Deploy) -> None:
    stack = deploy(**NETWORK)
    (gateway,) = _ec2().describe_nat_gateways(NatGatewayIds=[stack.resources["NatGateway"]])["NatGateways"]
    assert gateway["SubnetId"] == stack.resources["PublicSubnet1"]
    assert [address["AllocationId"].partition("-")[0] for address in gateway["NatGatewayAddresses"]] == ["eipalloc"]


def test_the_security_group_lets_in_only_what_is_its_own(deploy: Deploy) -> None:
    stack = deploy(**NETWORK)
    group_id = stack.resources["SecurityGroup"]
    (group,) = _ec2().describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    assert (rule["IpProtocol"], rule["IpRanges"], rule.get("Ipv6Ranges", [])) == ("-1", [], [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [group_id]


def test_the_environment_is_in_the_private_subnets_and_that_group() -> None:
    assert Template(**MADE).environment()["NetworkConfiguration"] == {
        "SubnetIds": ["<PrivateSubnet1>", "<PrivateSubnet2>"],
        "SecurityGroupIds": ["<SecurityGroup>"],
    }


def test_in_an_existing_network_none_is_created(deploy: Deploy) -> None:
    assert set(deploy().resources) == {"Bucket", "BucketPolicy", "ExecutionRole"}
    assert Template(**MADE, **EXISTING).environment()["NetworkConfiguration"] == {
        "SubnetIds": ["subnet-11111111", "subnet-22222222"],
        "SecurityGroupIds": ["sg-33333333"],
    }


def test_the_bucket_keeps_every_version(deploy: Deploy) -> None:
    bucket, s3 = deploy().resources["Bucket"], boto3.client("s3")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


def test_the_bucket_is_encrypted_private_and_requires_tls(deploy: Deploy) -> None:
    bucket, s3 = deploy().resources["Bucket"], boto3.client("s3")
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert set(statement["Resource"]) == {f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"}


def test_the_bucket_stays_when_the_stack_goes(deploy: Deploy) -> None:
    stack, s3 = deploy(), boto3.client("s3")
    s3.put_object(Bucket=stack.resources["Bucket"], Key="plugins.zip", Body=b"1")
    boto3.client("cloudformation").delete_stack(StackName=stack.name)
    assert s3.get_object(Bucket=stack.resources["Bucket"], Key="plugins.zip")["Body"].read() == b"1"


def test_the_role_is_mwaas_for_that_one_environment(deploy: Deploy) -> None:
    stack = deploy()
    (trust,) = stack.role()["AssumeRolePolicyDocument"]["Statement"]
    assert set(trust["Principal"]["Service"]) == {"airflow.amazonaws.com", "airflow-env.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:airflow:{REGION}:{ACCOUNT}:environment/{stack.name}"},
    }


def test_the_role_has_the_tasks_policy_of_the_pipelines_stack(deploy: Deploy) -> None:
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=deploy().pipeline)["Stacks"]
    (given,) = [output["OutputValue"] for output in found["Outputs"] if output["OutputKey"] == "TaskPolicyArn"]
    (arn,) = Template(TaskPolicyArn=given, PipelineStack="other").properties("ExecutionRole")["ManagedPolicyArns"]
    assert boto3.client("iam").get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn


def test_an_environment_of_an_earlier_version_keeps_the_policy_that_is_called_as_the_stack() -> None:
    role = Template(PipelineStack="pictures").properties("ExecutionRole")
    assert role["ManagedPolicyArns"] == [f"arn:aws:iam::{ACCOUNT}:policy/pictures-tasks"]


def test_without_such_a_stack_the_role_has_no_policy_but_its_own() -> None:
    assert "ManagedPolicyArns" not in Template().properties("ExecutionRole")


@pytest.mark.parametrize(
    ("action", "resource", "may"),
    [
        pytest.param("s3:GetObjectVersion", "arn:aws:s3:::{bucket}/plugins.zip", True, id="reads the package"),
        pytest.param("s3:ListBucket", "arn:aws:s3:::{bucket}", True, id="lists the package"),
        pytest.param("s3:PutObject", "arn:aws:s3:::{bucket}/dags/a.py", False, id="does not write the package"),
        pytest.param("s3:GetObject", "arn:aws:s3:::other/a", False, id="reads no other bucket"),
        pytest.param("s3:ListAllMyBuckets", "*", False, id="lists no buckets"),
        pytest.param("logs:PutLogEvents", "{logs}:airflow-{name}-Task:log-stream:a", True, id="writes its logs"),
        pytest.param("logs:PutLogEvents", "{logs}:airflow-other-Task:log-stream:a", False, id="writes no others' logs"),
        pytest.param("logs:DeleteLogGroup", "{logs}:airflow-{name}-Task", False, id="deletes no logs"),
        pytest.param("airflow:PublishMetrics", "{environments}/other", False, id="speaks for no other environment"),
        pytest.param("airflow:CreateWebLoginToken", "{environments}/{name}", False, id="creates no web login"),
        pytest.param("cloudwatch:PutMetricData", "*", True, id="publishes metrics"),
        pytest.param("sqs:SendMessage", "arn:aws:sqs:us-east-1:1:airflow-celery-a", True, id="uses Celery's queue"),
        pytest.param("sqs:DeleteQueue", "arn:aws:sqs:us-east-1:1:airflow-celery-a", False, id="deletes no queue"),
        pytest.param("sqs:ReceiveMessage", "arn:aws:sqs:us-east-1:1:pictures", False, id="reads no other queue"),
        pytest.param("kms:Decrypt", "arn:aws:kms:us-east-1:1:key/a", True, id="uses the key of Celery's queue"),
        pytest.param("kms:Decrypt", "arn:aws:kms:us-east-1:123456789012:key/a", False, id="uses no key of the account"),
        pytest.param("iam:PassRole", "*", False, id="passes no role"),
    ],
)
def test_permissions_of_the_role_alone(deploy: Deploy, action: str, resource: str, may: bool) -> None:
    stack = deploy()
    named = resource.format(
        bucket=stack.resources["Bucket"],
        name=stack.name,
        logs=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group",
        environments=f"arn:aws:airflow:{REGION}:{ACCOUNT}:environment",
    )
    assert _may(stack, action, named) is may


def test_keys_of_other_accounts_are_used_only_through_sqs(deploy: Deploy) -> None:
    (keys,) = [statement for statement in deploy().policy() if "NotResource" in statement]
    assert keys["Condition"] == {"StringLike": {"kms:ViaService": [f"sqs.{REGION}.amazonaws.com"]}}


def _may(stack: Stack, action: str, resource: str) -> bool:
    """Whether a statement of the role's inline policy allows the call; ignores conditions."""
    return any(
        any(fnmatchcase(action, pattern) for pattern in _list(statement["Action"])) and _covers(statement, resource)
        for statement in stack.policy()
    )


def _covers(statement: dict[str, Any], resource: str) -> bool:
    if "NotResource" in statement:
        return not any(fnmatchcase(resource, pattern) for pattern in _list(statement["NotResource"]))
    return any(fnmatchcase(resource, pattern) for pattern in _list(statement["Resource"]))


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _subnets(stack: Stack, *names: str) -> list[dict[str, Any]]:
    ids = [stack.resources[name] for name in names]
    found: list[dict[str, Any]] = _ec2().describe_subnets(SubnetIds=ids)["Subnets"]
    return found


def _ec2() -> Any:
    return boto3.client("ec2")


def _parameter(option: str) -> str:
    """`queue_url` becomes `QueueUrl`."""
    return option.title().replace("_", "")


def _option(parameter: str) -> str:
    """`QueueUrl` becomes `queue_url`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).lower()
