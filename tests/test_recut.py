"""Re-cut requests: a signature runs names and values together, so a captured request can be cut anew and still verify.

Whatever is made of a stored callback that way, the log stays as it is: nothing new in it, nothing overwritten. (One thing
cannot be told from a true callback: a re-cut that arrives before its original, or of a text that was written for the
purpose and holds the names and Sids of another callback whole.)
"""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL
from twilio.request_validator import RequestValidator

from projector.log import Stored
from projector.taskrouter.callback import signed_text
from tests.given import PUBLIC_URL, TOKEN, Parameters, reservation, signed, task_created, worker
from tests.posting import UNHURRIED, KeepingLog, Webhook, in_full, is_accepted, posting_to

Pairs = tuple[tuple[str, str], ...]
SIGNS = RequestValidator(TOKEN)


def cut(parameters: Parameters) -> Pairs:
    """A request as it is signed: sorted by name."""
    return tuple(sorted(parameters.items()))


def verifies(pairs: Pairs, text: str) -> bool:
    """True when these fields, sorted by name, run together to the text that was signed."""
    names = [name for name, _ in pairs]
    return names == sorted(set(names)) and "".join(name + value for name, value in pairs) == text


def shifted(pairs: Pairs) -> Iterator[Pairs]:
    """Every boundary moved by 1 to 20 characters: name | value, and value | next name."""
    for n, (name, value) in enumerate(pairs):
        for k in range(1, 21):
            if k <= len(name):
                yield (*pairs[:n], (name[:-k], name[-k:] + value), *pairs[n + 1 :])
            if k <= len(value):
                yield (*pairs[:n], (name + value[:k], value[k:]), *pairs[n + 1 :])
            if n + 1 < len(pairs):
                next_name, next_value = pairs[n + 1]
                if k <= len(value):
                    yield (*pairs[:n], (name, value[:-k]), (value[-k:] + next_name, next_value), *pairs[n + 2 :])
                if k < len(next_name):
                    yield (*pairs[:n], (name, value + next_name[:k]), (next_name[k:], next_value), *pairs[n + 2 :])


def merged(pairs: Pairs) -> Iterator[Pairs]:
    """One field, or several in a row, swallowed by the value or the name of the one before."""
    for n in range(1, len(pairs)):
        name, value = pairs[n - 1]
        for end in range(n + 1, len(pairs) + 1):
            swallowed = "".join(each + its for each, its in pairs[n:end])
            yield (*pairs[: n - 1], (name, value + swallowed), *pairs[end:])
            yield (*pairs[: n - 1], (name + value + swallowed, ""), *pairs[end:])


def split(pairs: Pairs) -> Iterator[Pairs]:
    """A value that gives birth to a field of any name that is in it."""
    for n, (name, value) in enumerate(pairs):
        for start in range(len(value)):
            for end in range(start + 1, min(len(value), start + 12) + 1):
                yield (*pairs[:n], (name, value[:start]), (value[start:end], value[end:]), *pairs[n + 1 :])


def recuts(parameters: Parameters) -> list[Pairs]:
    """All of these that still verify, the request itself apart."""
    pairs, text = cut(parameters), signed_text(parameters)
    found = {each for make in (shifted, merged, split) for each in make(pairs) if verifies(each, text)}
    return sorted(found - {pairs})


def captured(*, with_sid: bool) -> list[Parameters]:
    """Requests as an eavesdropper would have them."""
    requests = [
        in_full("task.created", at=1) | {"TaskAttributes": '{"note":"Sid of the call: CA1, WorkspaceSid WS1, EventType none"}'},
        reservation("accepted", at=2, WorkerName="TaskSid WTzz TimestampMs9"),
        worker("activity.update", at=3, WorkerAttributes='{"zz":"~~~"}', WorkerName="Zoë 😀"),
    ]
    return requests if with_sid else [{name: value for name, value in each.items() if name != "Sid"} for each in requests]


def post_recut(webhook: Webhook, pairs: Pairs, original: Parameters) -> int:
    """The re-cut with the captured request's own signature."""
    headers = signed(original)[1]
    answer = webhook.send(signed(dict(pairs))[0], **headers)
    assert is_accepted(answer) or answer.status_code == 400  # 400: its EventType was cut away
    return answer.status_code


@pytest.mark.parametrize("with_sid", [True, False], ids=["with Sid", "without Sid"])
def test_no_recut_of_a_stored_request_changes_the_log(with_sid: bool) -> None:
    """Thousands of re-cuts that verify: the log is afterwards, byte by byte, what it was."""
    with posting_to(log=KeepingLog()) as webhook:
        requests = captured(with_sid=with_sid)
        assert all(is_accepted(webhook.post(each)) for each in requests)
        before = webhook.stored()
        assert len(before) == len(requests)
        for original in requests:
            variants = recuts(original)
            assert len(variants) > 400
            assert all(
                SIGNS.compute_signature(PUBLIC_URL, dict(each)) == SIGNS.compute_signature(PUBLIC_URL, original)
                for each in variants
            )
            answers = [post_recut(webhook, each, original) for each in variants]
            assert answers.count(204) > 200
        assert webhook.stored() == before


@pytest.mark.parametrize("with_sid", [True, False], ids=["with Sid", "without Sid"])
def test_recuts_leave_the_tables_as_they_were(url: URL, with_sid: bool) -> None:
    """On both databases: 60 re-cuts of every kind are duplicates, or quarantined; log and tables stay."""
    (original, *_) = captured(with_sid=with_sid)
    with posting_to(url) as webhook:
        webhook.post(original)
        before, tables = webhook.stored(), webhook.tables().rows
        variants = recuts(original)
        answers = [post_recut(webhook, each, original) for each in variants[:: max(1, len(variants) // 60)]]
        assert (webhook.stored(), webhook.tables().rows) == (before, tables)
        assert sum(webhook.log.intake().values()) == answers.count(204)


@settings(UNHURRIED, max_examples=40)
@given(st.data(), st.booleans(), st.text('SidEVWTypeTask0a{}"~ ', max_size=30))
def test_no_chain_of_recuts_changes_the_log(data: Any, with_sid: bool, note: str) -> None:
    """Boundaries moved, dropped and made, several at a time, in a request with any text in its attributes."""
    original = task_created(at=1, TaskAttributes=f'{{"note":"{note}"}}', Reason=note)
    if not with_sid:
        del original["Sid"]
    text = signed_text(original)
    with posting_to(log=KeepingLog()) as webhook:
        webhook.post(original)
        before: list[Stored] = webhook.stored()
        assert len(before) == 1
        pairs = cut(original)
        for make in data.draw(st.lists(st.sampled_from([shifted, merged, split]), min_size=1, max_size=4)):
            possible = [each for each in make(pairs) if verifies(each, text)]
            if possible:
                pairs = data.draw(st.sampled_from(possible))
                post_recut(webhook, pairs, original)
        assert webhook.stored() == before
