"""Event Streams by way of Kinesis: Twilio writes its events into a stream of yours, `projector consume kinesis STREAM` reads them.

`record.py` says what one record holds, `stream.py` is all that knows boto3, `shard.py` reads one shard, `consume.py` all of them.
Where each shard was read to is a mark in the log's database, written with what was read in one transaction. What is read
twice is a duplicate, so every doubt is settled by reading again, never by reading less.
"""
