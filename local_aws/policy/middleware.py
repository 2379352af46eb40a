"""Deny the calls that the policy in force does not allow, with the error of the called service."""

import io
from collections.abc import Iterable
from typing import Any

from local_aws.faults import StartResponse, WsgiApp
from local_aws.operations import ErrorAnswer, Operation, Request, error_answer, operation_of
from local_aws.policy.document import Permission, Policy
from local_aws.policy.permissions import listing_for_not_found, permissions_of, read_of_an_image
from local_aws.rekognition.exceptions import InvalidS3Object

# Status and code of a denial by service. All other services, and SageMaker's runtime, answer with _DENIAL.
_DENIALS = {
    "s3": (403, "AccessDenied"),
    "sqs": (403, "AccessDenied"),
    "sns": (403, "AuthorizationError"),
    "monitoring": (403, "AccessDenied"),
    "rekognition": (400, "AccessDeniedException"),
    "sagemaker": (400, "AccessDeniedException"),
}
_DENIAL = (403, "AccessDeniedException")
# SQS has an error code of its own for a KMS key that the caller may not use.
_KEY_DENIALS = {"sqs": (400, "KmsAccessDenied")}


class PolicyInForce:
    """The policy that applies now; None: all calls are allowed."""

    def __init__(self) -> None:
        self.policy: Policy | None = None

    def replace(self, value: Any) -> None:
        """Apply the policy in the decoded JSON; None for no policy.

        Raises InvalidPolicyError and then keeps the former policy.
        """
        self.policy = None if value is None else Policy.parse(value)

    def describe(self) -> dict[str, Any] | None:
        """The document of the policy that applies now, or None."""
        return self.policy.document if self.policy else None


class PolicyMiddleware:
    """Answers the calls that the policy denies. The policy applies to every caller."""

    def __init__(self, app: WsgiApp, in_force: PolicyInForce, account_id: str):
        self._app = app
        self._in_force = in_force
        self._account_id = account_id

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        policy = self._in_force.policy
        if policy is None:
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        request = Request.of(environ, body)
        operation = operation_of(request)
        refusal = self._refusal(policy, operation, request)
        if refusal is None:
            return self._answer(policy, operation, request, environ, start_response)
        return _send(refusal, start_response)

    def _refusal(self, policy: Policy, operation: Operation, request: Request) -> ErrorAnswer | None:
        asked = permissions_of(operation, request, self._account_id)
        if asked is None:
            name = operation.name or f"{request.method} {request.path}?{request.query}"
            reason = "because the embedded AWS does not know the permissions of this operation"
            return self._denial(operation, request, Permission(f"{operation.service}:{name}", "*"), reason)
        for permission in asked:
            if reason := policy.why_denied(permission):
                return self._denial(operation, request, permission, reason)
        if any(policy.why_denied(permission) for permission in read_of_an_image(operation, request, self._account_id)):
            return error_answer(operation, request.method, 400, InvalidS3Object.code, InvalidS3Object.message)
        return None

    def _denial(self, operation: Operation, request: Request, permission: Permission, reason: str) -> ErrorAnswer:
        status, code = _DENIALS.get(operation.service, _DENIAL) if operation.protocol != "rest-json" else _DENIAL
        if permission.action.startswith("kms:"):
            status, code = _KEY_DENIALS.get(operation.service, (status, code))
        message = (
            f"User: arn:aws:iam::{self._account_id}:user/local is not authorized to perform: {permission.action} "
            f"on resource: {permission.resource} {reason}"
        )
        return error_answer(operation, request.method, status, code, message)

    def _answer(
        self,
        policy: Policy,
        operation: Operation,
        request: Request,
        environ: dict[str, Any],
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """The application's answer. A caller without s3:ListBucket gets a denial instead of a 404."""
        listing = listing_for_not_found(operation, request)
        reasons = [(permission, reason) for permission in listing if (reason := policy.why_denied(permission))]
        if not reasons:
            return self._app(environ, start_response)
        began: list[Any] = []
        body = b"".join(self._app(environ, lambda *args: began.extend(args[:2])))
        if began[0].startswith("404") and (request.method == "HEAD" or b"<Code>NoSuchKey</Code>" in body):
            return _send(self._denial(operation, request, *reasons[0]), start_response)
        start_response(*began)
        return [body]


def _send(answer: ErrorAnswer, start_response: StartResponse) -> Iterable[bytes]:
    start_response(f"{answer.status} Denied", list(answer.headers))
    return [answer.body]
