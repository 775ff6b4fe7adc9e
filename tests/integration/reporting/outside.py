"""What reports are delivered to: moto's S3, which checks signatures as botocore makes them, and aiosmtpd's mail server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import boto3
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from moto.core.authorization import enable_iam_authentication
from moto.server import ThreadedMotoServer

ALL_OF_S3 = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    """A store with one bucket, and who may write to it."""

    endpoint: str
    bucket: str
    access_key: str
    secret: str

    def objects(self) -> dict[str, bytes]:
        """Everything that is in the bucket, by its key."""
        client = _client("s3", self.endpoint, aws_access_key_id=self.access_key, aws_secret_access_key=self.secret)
        keys = [found["Key"] for found in client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]
        return {key: client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}


@contextmanager
def bucket_server() -> Iterator[S3]:
    """A store that refuses what is not signed by the one user that it knows."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint, name = f"http://{host}:{port}", f"reports-{port}"
        anybody = {"aws_access_key_id": "anybody", "aws_secret_access_key": "anything"}
        iam = _client("iam", endpoint, **anybody)
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="reports", PolicyDocument=ALL_OF_S3)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        _client("s3", endpoint, **anybody).create_bucket(Bucket=name)
        with enable_iam_authentication():
            yield S3(endpoint=endpoint, bucket=name, access_key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    finally:
        server.stop()


@dataclass(slots=True)
class Mails:
    """A mail server for whoever knows the password; `taken` are the mails with the addresses that they went to."""

    port: int = 0
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://reporting:open%20sesame@127.0.0.1:{self.port}"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        if not session.authenticated:
            return "530 who are you?"
        self.taken.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 taken"


@asynccontextmanager
async def mail_server(port: int = 0) -> AsyncIterator[Mails]:
    mails, loop = Mails(), asyncio.get_running_loop()

    def talk() -> SMTP:
        return SMTP(mails, loop=loop, authenticator=_known, auth_require_tls=False)

    server = await loop.create_server(talk, "127.0.0.1", port)
    async with server:
        mails.port = server.sockets[0].getsockname()[1]
        yield mails


def _known(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
    return AuthResult(success=login == LoginPassword(b"reporting", b"open sesame"), handled=False)


def _client(service: str, endpoint: str, **credentials: str) -> Any:
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", **credentials)
