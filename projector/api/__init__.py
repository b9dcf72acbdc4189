"""Twilio's TaskRouter read API, from the tables: `GET /v1/Workspaces/…`, same fields, same paging, same errors.

    keys.py        who may read what, and how wrong keys are slowed
    login.py       whose request it is: HTTP Basic
    problems.py    refusals in Twilio's shape
    asked.py       what a request asks for: a workspace, a moment, a window
    paging.py      a list in pages: `meta`, tokens
    ordering.py    the order of a list, and the place of a row in it
    resources.py   what each resource is read from, what its list shows, what filters it
    wanted.py      filters that are expressions over attributes
    shapes.py      a row as Twilio's JSON
    store.py       where answers come from
    routes.py      the URLs of the resources
    events.py      Events, from the log
    statistics.py  what was counted, as Twilio's JSON
    statistics_routes.py   the URLs of the statistics
    beyond.py      timelines, percentiles, service levels, occupancy
    tabular.py     answers as CSV
    document.py    `/openapi.json` and the page to read it; `fields.py`: what each answer has

Fields are those of Twilio's OpenAPI document; what no callback carries is null.
"""

from projector.api.document import pages as document_pages
from projector.api.routes import read_api

__all__ = ["document_pages", "read_api"]
