"""The benchmarks: what this does against what the machine, the library or the bare way can do, in turn, in one run.

    python -m tests.bench [P1 P2 …] [--on sqlite] [--on postgresql] [--rounds 3] [--json FILE] [--small]

Absolute figures hold for one machine and one quarter of an hour. So each measure is a pair, taken in turn (A B A B …) within
one run, and its figure is the ratio inside each round: smallest, median, greatest. `cases.py` is the list, with what each must
reach and aims at. Nothing here asserts a time. It reads `/proc` and waits by `epoll`: Linux only.

    __main__.py     the command line                   cases.py       the measures, what was measured, verdicts
    run.py          what every measure is given        sizes.py       how much of everything, full and small
    report.py       the table and the JSON document    machine.py     where it ran: processor, disk, versions, settings
    callbacks.py    what is posted and imported        databases.py   databases made, filled, copied, dropped
    processes.py    commands and servers, ended        library.py     eventsourcing's recorders and its ProjectionRunner
    load.py         posting over raw sockets           figures.py     medians and percentiles
    storing_nothing.py   the webhook without its log, on several servers

    posting.py      P1            live.py        P10
    appending.py    P2            importing.py   P3
    projecting.py   P4, P4b       rebuilding.py  P5, P6, P8, P9
    moment.py       P7            starting.py    P11
"""
