"""The read API over a store, asked by the official SDK or by hand."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy.engine import URL
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from werkzeug.test import TestResponse

from projector.api import document_pages, read_api
from projector.api.keys import Key, Keys
from projector.api.login import Login
from projector.database import disposing, open_engine
from projector.log import Log, open_log
from projector.project import project
from projector.table_sink import TableSink
from tests.given import ACCOUNT, WORKSPACE, Parameters, arrived

KEY = Key("reader", "secret")


class Api:
    """The routes, and the log and tables below them."""

    def __init__(self, log: Log, engine: Any, keys: tuple[Key, ...]) -> None:
        self.log, self.engine = log, engine
        app = Flask(__name__)
        app.register_blueprint(document_pages)
        app.register_blueprint(read_api(engine, log, Login(Keys(keys))))
        self.app, self.web = app, app.test_client()

    def told(self, *callbacks: Parameters) -> "Api":
        """These arrive and are projected."""
        arrived(self.log, *callbacks)
        project(self.log, TableSink(self.engine))
        return self

    def get(self, path: str, key: Key | None = KEY, **query: str) -> TestResponse:
        """The answer to a request below the workspace; `path` may begin with `/v1`, or be a URL that an answer holds."""
        path = path.removeprefix("http://localhost")
        url = path if path.startswith("/v1") else f"/v1/Workspaces/{WORKSPACE}{path}"
        return self.web.get(url, query_string=query or None, auth=(key.name, key.secret) if key else None)

    def json(self, path: str, **query: str) -> Any:
        """The JSON of an answer that is 200."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.get_json()

    def sids(self, path: str, key: str, **query: str) -> list[str]:
        """What a list shows, all pages."""
        found, url = [], f"/v1/Workspaces/{WORKSPACE}{path}"
        answer = self.json(url, **query)
        while True:
            found += [row["sid"] for row in answer[key]]
            following = answer["meta"]["next_page_url"]
            if following is None:
                return found
            answer = self.json(following)

    def sdk(self, key: Key = KEY) -> Any:
        """The official SDK's view of the workspace; nothing of it is changed but where its HTTP client sends."""
        client = Client(key.name, key.secret, account_sid=ACCOUNT, http_client=_Transport(self.web))
        return client.taskrouter.v1.workspaces(WORKSPACE)


class _Transport(HttpClient):
    def __init__(self, web: Any) -> None:
        self._web = web

    def request(
        self, method: str, url: str, params: Any = None, data: Any = None, headers: Any = None, auth: Any = None, **_: Any
    ) -> Response:
        """Send it here, whatever host it names."""
        where = urlsplit(url)
        query = {name: value for name, value in (params or {}).items() if value is not None}
        path = f"{where.path}?{where.query}" if where.query else where.path
        is_json = (headers or {}).get("Content-Type") == "application/json"
        body = {"json": data} if is_json else {"data": data}
        answer = self._web.open(path, method=method, query_string=query or None, auth=auth, **body)
        return Response(answer.status_code, answer.text)


class Listed:
    """A body for the SDK, which asks it for its dictionary."""

    def __init__(self, *sids: str) -> None:
        self._sids = sids

    def to_dict(self) -> dict[str, list[str]]:
        return {"QueueSids": list(self._sids)}


@contextmanager
def reading_from(url: URL, *keys: Key, limit_seconds: float = 30) -> Iterator[Api]:
    """The read API over this database, for these keys."""
    with closing(open_log(url)) as log, disposing(open_engine(url, limit_seconds=limit_seconds)) as engine:
        yield Api(log, engine, keys or (KEY,))
