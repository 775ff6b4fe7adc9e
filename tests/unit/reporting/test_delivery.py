"""Signing for S3 against the examples that AWS publishes, and mails."""

from datetime import UTC, datetime
from pathlib import Path

from services.reporting.handlers.delivery import Bucket, Delivery, Destinations, Mailbox, deliver, message, signed_headers

BUCKET = Bucket(
    endpoint="https://examplebucket.s3.amazonaws.com",
    name="examplebucket",
    region="us-east-1",
    access_key="AKIAIOSFODNN7EXAMPLE",
    secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
)
MOMENT = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"


def test_a_put_is_signed_as_in_the_published_example() -> None:
    headers = signed_headers(
        BUCKET,
        method="PUT",
        host=HOST,
        path="/test%24file.text",
        body=b"Welcome to Amazon S3.",
        now=MOMENT,
        more={"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
    )
    assert headers["Authorization"].endswith("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")


def test_a_get_is_signed_as_in_the_published_example() -> None:
    headers = signed_headers(
        BUCKET, method="GET", host=HOST, path="/test.txt", body=b"", now=MOMENT, more={"range": "bytes=0-9"}
    )
    assert headers["Authorization"].endswith("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")


def test_a_mail_carries_its_files_and_no_header_of_a_name() -> None:
    delivery = Delivery(
        place="spring/daily/2026-11-24",
        files={"report.pdf": b"%PDF-", "performance.csv": b"a,b\r\n"},
        subject="Spring\r\nBcc: everyone@example.com",
        text="Figures",
    )
    mail = message(delivery, Mailbox(url="smtp://localhost", sender="a@example.com", recipients=("b@example.com",)))
    assert "\n" not in mail["Subject"]
    assert mail["Bcc"] is None
    assert [part.get_filename() for part in mail.iter_attachments()] == ["report.pdf", "performance.csv"]


async def test_a_folder_holds_whole_files_and_a_second_delivery_replaces_them(tmp_path: Path) -> None:
    to = Destinations(folder=tmp_path, bucket=None, mailbox=None)
    for body in (b"first", b"second"):
        await deliver(Delivery(place="spring/daily/x", files={"report.pdf": body}, subject="", text=""), to)
    folder = tmp_path / "spring/daily/x"
    assert [path.name for path in folder.iterdir()] == ["report.pdf"]
    assert (folder / "report.pdf").read_bytes() == b"second"
