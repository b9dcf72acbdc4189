"""Our signature check says what Twilio's own validator says, and nothing else is ever let in."""

import base64
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from projector.config import ANY_ACCOUNT
from tests.given import ACCOUNT, PUBLIC_URL, TOKEN, signed, task_created
from tests.posting import UNHURRIED, KeepingLog, posting_to
from webhook.form import read_bytes, read_form
from webhook.signature import Signatures

many = settings(UNHURRIED, max_examples=300)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", " ", "+", "%", "&=", "\r\n", "é", "e\u0301", "💥", "\0"]
)
NAMES = st.sampled_from(["Sid", "TaskSid", "TaskAttributes", "a", "A", "É", ""]) | TEXT
PAIRS = st.lists(st.tuples(NAMES, TEXT), max_size=8)
URLS = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["https", "http"]),
    st.sampled_from(["example.test", "sub.example.test", "127.0.0.1", "xn--bcher-kva.test"]),
    st.sampled_from(["", ":80", ":443", ":8080"]),
    st.sampled_from(["/callbacks", "/", "", "/a/b%20c", "/ü"]),
    st.sampled_from(["", "?a=1", "?a=1&b=%20x", "?bodySHA256=abc", "?token=ü"]),
)


def forms(pairs: list[tuple[str, str]]) -> MultiDict[str, str]:
    return MultiDict(pairs)


def spellings(url: str) -> list[str]:
    """The URL as it is, and with the port that it leaves out, or without the one it says."""
    scheme, _, rest = url.partition("://")
    host, slash, path = (
        rest.partition("/") if "/" in rest else (*rest.partition("?")[:1], "", rest[len(rest.partition("?")[0]) :])
    )
    name, _, _ = host.partition(":")
    return [
        f"{scheme}://{each}{slash}{path}" for each in (host, name, f"{name}:{443 if scheme == 'https' else 80}", f"{name}:81")
    ]


@many
@given(PAIRS, URLS, st.sampled_from([TOKEN, "another-token", "ü"]), st.integers(0, 3))
def test_we_accept_exactly_what_twilios_validator_accepts(
    pairs: list[tuple[str, str]], url: str, token: str, spelling: int
) -> None:
    """Any fields, repeated and blank ones too, any public URL, any of its spellings, the right token or another."""
    signature = RequestValidator(token).compute_signature(spellings(url)[spelling], forms(pairs))
    theirs = RequestValidator(TOKEN).validate(url, forms(pairs), signature)
    form = read_form(urlencode(pairs).encode())
    assert form is not None
    ours = Signatures(url, {ANY_ACCOUNT: (TOKEN,)})
    assert ours.accept(ACCOUNT, form.pairs, signature) == theirs
    if spelling == 0 and token == TOKEN:
        assert theirs


@many
@given(PAIRS, URLS, st.sampled_from([TOKEN, "another-token"]), st.integers(0, 3))
def test_the_check_over_bytes_says_the_same_where_both_can_be_asked(
    pairs: list[tuple[str, str]], url: str, token: str, spelling: int
) -> None:
    """A form that is UTF-8 has the same signature as text and as bytes, so the two checks cannot differ."""
    signature = RequestValidator(token).compute_signature(spellings(url)[spelling], forms(pairs))
    ours = Signatures(url, {ANY_ACCOUNT: (TOKEN,)})
    as_bytes = read_bytes(urlencode(pairs).encode())
    assert as_bytes == [(name.encode(), value.encode()) for name, value in pairs]
    assert ours.accept_bytes(ACCOUNT, as_bytes, signature) == ours.accept(ACCOUNT, forms(pairs), signature)


@many
@given(st.lists(st.tuples(NAMES, TEXT), min_size=1, max_size=6), st.data())
def test_a_changed_form_is_not_accepted(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    """A value changed, a field more or less: refused, unless the signed text is the same."""
    signature = RequestValidator(TOKEN).compute_signature(PUBLIC_URL, forms(pairs))
    other = data.draw(PAIRS)

    def text(form: list[tuple[str, str]]) -> str:
        return "".join(name + value for name, value in sorted(set(form)))

    ours = Signatures(PUBLIC_URL, {ANY_ACCOUNT: (TOKEN,)})
    assert ours.accept(ACCOUNT, forms(other), signature) == (text(other) == text(pairs))


@many
@given(
    st.text(max_size=40)
    | st.binary(max_size=20).map(lambda raw: base64.b64encode(raw).decode())
    | st.text("A=+/é\0", min_size=28, max_size=28)
)
def test_no_guessed_signature_is_accepted(signature: str) -> None:
    """Whatever stands in the header, of whatever length and alphabet: False, never an error."""
    ours = Signatures(PUBLIC_URL, {ANY_ACCOUNT: (TOKEN,)})
    said = task_created(at=1)
    assert not ours.accept(ACCOUNT, said, signature)
    assert not ours.accept_bytes(ACCOUNT, [(name.encode(), value.encode()) for name, value in said.items()], signature)


def test_no_flipped_bit_is_accepted() -> None:
    """Each bit of the signature flipped, each pair of its characters swapped: 403, nothing kept."""
    body, headers = signed(task_created(at=1))
    right = headers["X-Twilio-Signature"]
    flipped = {right[:at] + chr(ord(right[at]) ^ 1 << bit) + right[at + 1 :] for at in range(28) for bit in range(8)}
    swapped = {right[:at] + right[at + 1] + right[at] + right[at + 2 :] for at in range(27)} - {right}
    padded = {right[:-2] + last + "=" for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"} - {right}
    said = read_form(body)
    assert said is not None
    ours = Signatures(PUBLIC_URL, {ANY_ACCOUNT: (TOKEN,)})
    for wrong in flipped | swapped | padded:
        assert not ours.accept(ACCOUNT, said.pairs, wrong)
        assert not ours.accept_bytes(ACCOUNT, read_bytes(body), wrong)
    with posting_to(log=KeepingLog()) as webhook:
        for wrong in sorted(flipped):
            if wrong.isprintable():  # others are no header at all
                assert webhook.send(body, **headers | {"X-Twilio-Signature": wrong}).status_code == 403
        assert (webhook.stored(), webhook.log.rejected) == ([], [])
        assert webhook.send(body, **headers).status_code == 204


def test_without_tokens_nothing_is_accepted() -> None:
    """An application that checks with no token refuses everything, an empty token's signature too."""
    said = task_created(at=1)
    for token in ("", TOKEN):
        signature = RequestValidator(token).compute_signature(PUBLIC_URL, said)
        assert not Signatures(PUBLIC_URL, {}).accept(ACCOUNT, said, signature)
        assert not Signatures(PUBLIC_URL, {}).accept_bytes(ACCOUNT, [], signature)


def test_only_the_tokens_of_the_account_named_are_tried() -> None:
    """Each account's own tokens; an account that is not listed has none."""
    said = task_created(at=1)
    ours = Signatures(PUBLIC_URL, {"AC1": ("one", "two"), "AC2": ("three",)})
    signatures = {token: RequestValidator(token).compute_signature(PUBLIC_URL, said) for token in ("one", "two", "three")}
    accepted = {
        (account, token)
        for account in ("AC1", "AC2", "AC3", "")
        for token, each in signatures.items()
        if ours.accept(account, said, each)
    }
    assert accepted == {("AC1", "one"), ("AC1", "two"), ("AC2", "three")}
