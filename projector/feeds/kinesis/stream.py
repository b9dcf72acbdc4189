"""A Kinesis stream as the three calls that reading takes. All that is known of boto3 is in this file.

Credentials and their renewal are the AWS default chain's. Every call has its timeouts, and is tried once more by boto3 itself; no redirect is
followed, and no address comes from data. What goes wrong is one of four things: wait and try again (`KinesisAway`), the iterator is too old
(`IteratorExpired`), the place or the shard is no longer there (`PlaceGone`, `ShardGone`), or a person is needed (`Misconfigured`).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)

from projector.errors import Misconfigured

CONNECT_SECONDS, READ_SECONDS = 5, 10
RECORDS_MAX = 1_000  # at once: five times as many a second as a shard takes in
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")  # Kinesis allows no others
_NEEDS_A_PERSON = frozenset({
    "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidClientTokenId",
    "InvalidSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "OptInRequired",
    "SignatureDoesNotMatch", "UnrecognizedClientException", "KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException",
    "KMSNotFoundException", "KMSOptInRequired",
})  # fmt: skip


class KinesisAway(Exception):
    """Kinesis cannot answer, or not so much of it, at this moment. The text is the error's name."""


class IteratorExpired(Exception):
    """An iterator is good for five minutes; this one is older."""


class PlaceGone(Exception):
    """The record that was read last is not in the shard any more: trimmed, or another stream's of this name."""


class ShardGone(Exception):
    """The shard is not in the stream any more."""


class Shard(NamedTuple):
    """A shard as it is listed."""

    id: str
    parents: tuple[str, ...]  # one after a split, two after a merge
    is_closed: bool  # it takes no more records


class Record(NamedTuple):
    """A record's sequence number (a decimal; later ones in a shard are greater) and its data."""

    number: str
    data: bytes


class Answer(NamedTuple):
    """What one read gave: records in order, the iterator for what comes next (None: the shard ends here), how old the rest is."""

    records: list[Record]
    next: str | None
    behind_ms: int


class Stream:
    """One stream, by a client of boto3's."""

    def __init__(self, client: Any, name: str) -> None:
        self.name = name
        self._client = client

    def shards(self) -> list[Shard]:
        """Every shard whose records are still kept, closed ones too."""
        found: list[Shard] = []
        asked = {"StreamName": self.name}
        while asked:
            with self._in_our_words():
                answer = self._client.list_shards(**asked)
            if "Shards" not in answer:
                raise KinesisAway("an answer without shards")
            for shard in answer["Shards"]:
                parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                is_closed = shard["SequenceNumberRange"].get("EndingSequenceNumber") is not None
                found.append(Shard(shard["ShardId"], tuple(parent for parent in parents if parent), is_closed))
            asked = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
        return found

    def iterator(self, shard_id: str, place: str | None) -> str:
        """Where reading begins: at the record with the number `place`, or at the oldest that is kept."""
        at = {"ShardIteratorType": "TRIM_HORIZON"}
        if place is not None:
            at = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": place}
        with self._in_our_words(shard_id):
            try:
                answer = self._client.get_shard_iterator(StreamName=self.name, ShardId=shard_id, **at)
            except ClientError as error:
                if place is not None and _code(error) == "InvalidArgumentException":
                    raise PlaceGone from error
                raise
        return str(answer["ShardIterator"])

    def read(self, shard_id: str, iterator: str) -> Answer:
        """What comes next."""
        with self._in_our_words(shard_id):
            answer = self._client.get_records(ShardIterator=iterator, Limit=RECORDS_MAX)
        records = [Record(record["SequenceNumber"], record["Data"]) for record in answer["Records"]]
        return Answer(records, answer.get("NextShardIterator") or None, int(answer.get("MillisBehindLatest") or 0))

    def close(self) -> None:
        """Give back all connections."""
        self._client.close()

    @contextmanager
    def _in_our_words(self, shard_id: str | None = None) -> Iterator[None]:
        """What boto3 raises as what it means here; its texts, which quote what was asked, stay out."""
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError, TokenRetrievalError) as error:
            raise Misconfigured(
                "There are no usable AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role."
            ) from error
        except BotoCoreError as error:
            raise KinesisAway(type(error).__name__) from error
        except ClientError as error:
            code = _code(error)
            if code == "ExpiredIteratorException":
                raise IteratorExpired from error
            if code == "ResourceNotFoundException" and shard_id is not None:
                raise ShardGone from error
            if code == "ResourceNotFoundException":
                raise Misconfigured(
                    f"There is no stream {self.name} in this account and region. Correct STREAM, --region or the credentials."
                ) from error
            if code in _NEEDS_A_PERSON:
                raise Misconfigured(
                    f"AWS refuses these credentials for the stream {self.name} ({code})."
                    " They need kinesis:ListShards, kinesis:GetShardIterator and kinesis:GetRecords."
                ) from error
            raise KinesisAway(code) from error


def open_stream(name: str, region: str | None = None, endpoint_url: str | None = None, connections: int = 10) -> Stream:
    """A stream by its name. Nothing is asked yet. Raises `Misconfigured`."""
    if not _NAME.fullmatch(name):
        raise Misconfigured(f"{name[:130]!r} is no stream's name. Give the name alone, of at most 128 letters, digits and `_.-`.")
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=connections,
    )
    try:
        client = boto3.session.Session().client("kinesis", region_name=region, endpoint_url=endpoint_url, config=config)
    except NoRegionError as error:
        raise Misconfigured("No AWS region is named. Give --region, or set AWS_REGION.") from error
    except ProfileNotFound as error:
        raise Misconfigured("AWS_PROFILE names a profile that is not there. Correct it.") from error
    except ValueError as error:
        raise Misconfigured(f"{endpoint_url!r} is no endpoint. Give --endpoint-url as `https://host`.") from error
    return Stream(client, name)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code") or "Unknown")
