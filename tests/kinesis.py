"""A Kinesis on this machine: moto's server, with the rules of Kinesis that it leaves out.

`with serving() as kinesis:` serves on a free port of loopback; `kinesis.stream(3)` makes a stream of three shards, `kinesis.put(stream, …)`
writes callbacks into it as Twilio would. What moto does otherwise than Kinesis is mended here: a shard that is split or merged keeps its records,
takes no more of them, and ends with no iterator; an answer that is not the last one is behind.
"""

import hashlib
import itertools
import json
import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple
from unittest import mock

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.kinesis import models
from moto.server import ThreadedMotoServer

from projector.feeds.kinesis.stream import Stream, open_stream
from tests.given import Parameters
from tests.reshaping import as_cloud_event

REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}  # fmt: skip
_numbers = itertools.count(1)


class Put(NamedTuple):
    """A record as it was written."""

    shard: str
    number: int
    data: bytes


class Kinesis:
    """The server, and a client that writes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = boto3.session.Session().client("kinesis", region_name=REGION, endpoint_url=url)

    def stream(self, shards: int) -> str:
        """The name of a new stream."""
        name = f"events-{next(_numbers)}"
        self.client.create_stream(StreamName=name, ShardCount=shards)
        return name

    def open(self, stream: str) -> Stream:
        """As the command opens it."""
        return open_stream(stream, REGION, self.url)

    def put(self, stream: str, *callbacks: Parameters) -> list[Put]:
        """Write callbacks, each as one record with one CloudEvent, spread over the shards."""
        return self.put_data(stream, *(json.dumps(as_cloud_event(told)).encode() for told in callbacks))

    def put_data(self, stream: str, *data: bytes) -> list[Put]:
        """Write records."""
        found: list[Put] = []
        for first in range(0, len(data), 500):
            some = data[first : first + 500]
            records = [{"Data": each, "PartitionKey": hashlib.sha256(each).hexdigest()} for each in some]
            answers = self.client.put_records(StreamName=stream, Records=records)["Records"]
            found += [
                Put(answer["ShardId"], int(answer["SequenceNumber"]), each) for each, answer in zip(some, answers, strict=True)
            ]
        return found

    def split(self, stream: str, shard: str) -> None:
        """In the middle."""
        found = self._inside(stream).shards[shard]
        middle = (found.starting_hash + found.ending_hash) // 2
        self.client.split_shard(StreamName=stream, ShardToSplit=shard, NewStartingHashKey=str(middle))

    def merge(self, stream: str, shard: str, other: str) -> None:
        self.client.merge_shards(StreamName=stream, ShardToMerge=shard, AdjacentShardToMerge=other)

    def trim(self, stream: str, shard: str, upto: int) -> None:
        """Forget the records with these numbers, as retention does."""
        records = self._inside(stream).shards[shard].records
        for number in [number for number in records if number <= upto]:
            del records[number]

    def forget(self, stream: str, shard: str) -> None:
        """A closed shard whose last record is older than retention is listed no more."""
        del self._inside(stream).shards[shard]

    def _inside(self, stream: str) -> models.Stream:
        return models.kinesis_backends[DEFAULT_ACCOUNT_ID][REGION].streams[stream]


@contextmanager
def serving() -> Iterator[Kinesis]:
    """A server until the end, and credentials of nobody in the environment of this process and of those it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with _serving() as kinesis:
            yield kinesis


@contextmanager
def _serving() -> Iterator[Kinesis]:
    patches = [
        mock.patch.object(models.Stream, "split_shard", _keeping_records(models.Stream.split_shard)),
        mock.patch.object(models.Stream, "merge_shards", _keeping_records(models.Stream.merge_shards)),
        mock.patch.object(models.Stream, "get_shard_for_key", _open_shard_for_key),
        mock.patch.object(models.KinesisBackend, "get_records", _ending(models.KinesisBackend.get_records)),
    ]
    for patch in patches:
        patch.start()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    kinesis = Kinesis("http://{}:{}".format(*server.get_host_and_port()))
    try:
        with closing(kinesis.client):
            yield kinesis
    finally:
        server.stop()
        for patch in patches:
            patch.stop()


def _keeping_records(reshard: Callable[..., None]) -> Callable[..., None]:
    """Moto moves the records into the new shards."""

    def keeping(self: models.Stream, shard: str, other: str) -> None:
        parents = [self.shards[each] for each in (shard, other) if each in self.shards]
        kept = [parent.records for parent in parents]
        for parent in parents:
            parent.records = OrderedDict()
        reshard(self, shard, other)
        for parent, records in zip(parents, kept, strict=True):
            parent.records = records

    return keeping


def _open_shard_for_key(self: models.Stream, partition_key: str, explicit_hash_key: str) -> models.Shard:
    """Moto goes on writing into closed ones."""
    key = int(hashlib.md5(partition_key.encode(), usedforsecurity=False).hexdigest(), 16)
    return next(shard for shard in self.shards.values() if shard.is_open and shard.starting_hash <= key <= shard.ending_hash)


def _ending(get_records: Callable[..., Any]) -> Callable[..., Any]:
    """Moto's iterators never end, and how far behind an answer is it counts from the last record instead of from now."""

    def ending(self: models.KinesisBackend, stream_arn: str | None, iterator: str, limit: int | None) -> Any:
        following, records, _ = get_records(self, stream_arn, iterator, limit)
        stream, shard_id, last = models.decompose_shard_iterator(following)
        shard = self.streams[stream].shards[shard_id]
        rest = [record for number, record in shard.records.items() if number > int(last)]
        behind_ms = math.ceil((time.time() - rest[0].created_at) * 1000) + 1 if rest else 0
        return None if not rest and not shard.is_open else following, records, behind_ms

    return ending


class Troubled:
    """A client of boto3's that first raises what it is given, call by call: `Troubled(client, get_records=[error, …])`.

    Something callable is called with the real method and what was asked, and answers instead.
    """

    def __init__(self, client: Any, **troubles: Sequence[Any]) -> None:
        self._client = client
        self._troubles = {name: list(of) for name, of in troubles.items()}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(**asked: Any) -> Any:
            self.asked.append((name, asked))
            trouble = self._troubles[name].pop(0) if self._troubles.get(name) else None
            if isinstance(trouble, Exception):
                raise trouble
            return trouble(method, asked) if trouble is not None else method(**asked)

        return call
