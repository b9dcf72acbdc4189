"""The other feeds: Event Streams, Kinesis, Twilio's Events API. All meet in the one log, mapped at the door to a callback's shape.

`shape.py` maps, and knows no feed's transport. Whatever is mapped goes through the same checks (`log/admit.py`) and the same append
as a callback, and is the same event under the same Sid: it does not matter which feed brings it first.
"""
