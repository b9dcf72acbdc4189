"""The wallboard: who works, what waits, now and at any moment. Pages made here, made new as callbacks are projected.

    pages.py       the URLs, and the page for each
    seen.py        what a page is asked to show: a moment, as it was known when, in whose time zone
    words.py       figures as people read them: 3:05, 10:42:03, 83 %
    picture.py     what lasted, as a picture: lanes and bars
    shared.py      what several viewers ask for in one second is worked out once
    stream.py      `/stream`: server-sent events that say when to look again
    templates/     HTML; every text is escaped by the template engine
    static/        our style and script; `vendor/`: other people's, with their licences

A page is whole without its script: it links, it has forms, and it says what it shows. The script only asks for it again (htmx), and
moves the moment.
"""

from projector.board.pages import board

__all__ = ["board"]
