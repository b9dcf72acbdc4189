"""Twilio's TaskRouter read API, from the tables: `GET /v1/Workspaces/…`, same fields, same paging, same errors.

    keys.py        who may read what: HTTP Basic, and what wrong ones are answered
    problems.py    refusals in Twilio's shape
    paging.py      a list in pages: `meta`, tokens
    resources.py   what each resource is read from, what its list shows, what filters it
    wanted.py      filters that are expressions over attributes
    moments.py     a row as it was at a moment
    shapes.py      a row as Twilio's JSON
    store.py       where answers come from
    routes.py      the URLs

Fields are those of Twilio's OpenAPI document; what no callback carries is null.
"""

from projector.api.routes import read_api

__all__ = ["read_api"]
