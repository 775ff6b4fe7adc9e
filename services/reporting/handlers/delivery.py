"""Where reports go: a folder, an S3-compatible store, e-mail; to each that is set."""

import asyncio
import hashlib
import hmac
import os
import smtplib
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import aiohttp

from shared.kafka.errors import Retryable

OUTSIDE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """An S3-compatible store, addressed as endpoint/bucket/key."""

    endpoint: str
    name: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """An SMTP server as smtp://user:password@host:port (STARTTLS where offered) or smtps://…, and who writes to whom."""

    url: str = field(repr=False)
    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    folder: Path | None
    bucket: Bucket | None
    mailbox: Mailbox | None

    @property
    def any(self) -> bool:
        return any((self.folder, self.bucket, self.mailbox))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Files under a place (`spring/daily/2026-11-21`), and what a mail says with them."""

    place: str
    files: Mapping[str, bytes]
    subject: str
    text: str


async def deliver(delivery: Delivery, to: Destinations) -> list[str]:
    """Delivers to every destination; gives where it went. The same files again replace the ones there (a mail is sent again).

    Raises Retryable when a destination cannot be reached or refuses.
    """
    went = []
    if to.folder is not None:
        await asyncio.to_thread(_write, to.folder / delivery.place, delivery.files)
        went.append(str(to.folder / delivery.place))
    if to.bucket is not None:
        await _put(to.bucket, delivery)
        went.append(f"{to.bucket.name}/{delivery.place}")
    if to.mailbox is not None:
        await asyncio.to_thread(_send, to.mailbox, message(delivery, to.mailbox))
        went.append(", ".join(to.mailbox.recipients))
    return went


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Whole files only: each appears under its name once it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as part:
            part.write(body)
            part.flush()
            os.fsync(part.fileno())
        os.chmod(part.name, 0o644)
        os.replace(part.name, folder / name)


async def _put(bucket: Bucket, delivery: Delivery) -> None:
    timeout = aiohttp.ClientTimeout(total=OUTSIDE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for name, body in delivery.files.items():
            path = f"/{quote(bucket.name)}/{quote(f'{delivery.place}/{name}')}"
            host = urlsplit(bucket.endpoint).netloc
            headers = signed_headers(bucket, method="PUT", host=host, path=path, body=body, now=datetime.now(UTC))
            try:
                async with session.put(bucket.endpoint.rstrip("/") + path, data=body, headers=headers) as answer:
                    if answer.status >= 300:
                        raise Retryable(f"the store answered {answer.status} to {path}")
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Retryable(f"the store cannot be reached: {type(error).__name__}: {error}") from error


def signed_headers(
    bucket: Bucket, *, method: str, host: str, path: str, body: bytes, now: datetime, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Headers of a request to S3 with AWS Signature Version 4 (docs.aws.amazon.com, "Authenticating Requests")."""
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": moment, **(more or {})}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
    scope = f"{day}/{bucket.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{bucket.secret_key}".encode()
    for part in (day, bucket.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    credential = f"{bucket.access_key}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}"
    return {**{name: value for name, value in headers.items() if name != "host"}, "Authorization": authorization}


def message(delivery: Delivery, mailbox: Mailbox) -> EmailMessage:
    """The mail of a delivery, its files attached. Control characters of names cannot reach its headers."""
    mail = EmailMessage()
    mail["From"] = mailbox.sender
    mail["To"] = ", ".join(mailbox.recipients)
    mail["Subject"] = "".join(c if c.isprintable() else " " for c in delivery.subject)
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = make_msgid(domain="counterfoil.invalid")
    mail.set_content(delivery.text)
    kinds = {"pdf": ("application", "pdf"), "csv": ("text", "csv")}
    for name, body in delivery.files.items():
        maintype, subtype = kinds.get(name.rpartition(".")[2], ("application", "octet-stream"))
        mail.add_attachment(body, maintype=maintype, subtype=subtype, filename=name)
    return mail


def _send(mailbox: Mailbox, mail: EmailMessage) -> None:
    at = urlsplit(mailbox.url)
    host, context = at.hostname or "localhost", ssl.create_default_context()
    try:
        if at.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, at.port or 465, timeout=OUTSIDE_SECONDS, context=context)
        else:
            server = smtplib.SMTP(host, at.port or 587, timeout=OUTSIDE_SECONDS)
        with server:
            _introduce(server, at.scheme, context)
            if at.username:
                server.login(unquote(at.username), unquote(at.password or ""))
            server.send_message(mail, from_addr=mailbox.sender, to_addrs=_addresses(mailbox.recipients))
    except (smtplib.SMTPException, OSError) as error:
        raise Retryable(f"the mail server did not take it: {type(error).__name__}: {error}") from error


def _introduce(server: smtplib.SMTP, scheme: str, context: ssl.SSLContext) -> None:
    server.ehlo()
    if scheme == "smtp" and server.has_extn("starttls"):
        server.starttls(context=context)
        server.ehlo()


def _addresses(recipients: Sequence[str]) -> list[str]:
    return list(recipients)
