"""The questions people ask, at a moment: what was a worker doing, how did a task stand, who was where, what waited in a queue; and of
a window of time: what happened, how long did it take, how busy was everybody.

A moment is a look at the history. Everything known is folded, then read at `at_ms`: what has spans from the span that covers it
(`started <= at < ended`), other values from the unit's callbacks stamped up to it, deletions at their effective time. "Everything
known" is a `Source`: the tables, or one unit folded up to a position of the log, which is how things were known at some time.
One code reads both.

    when.py        moments as people write them; the position of the log at a time
    source.py      what reading needs to know, and what it makes of it
    present.py     the source that is the tables
    refolded.py    the source that is the log up to a position
    worker.py task.py queue.py activities.py     the answers, each a function of its own name
    then.py        one row of any table as it was at a moment
    tasks.py workers.py   all of a workspace's at a moment
    realtime.py    those, counted
    happening.py   what can happen, each defined once, and where a window finds it
    cumulative.py  that, counted, and waits added up
    durations.py   how long workers were in each activity
    performance.py percentiles and service levels
    occupancy.py   how busy workers were
    explained.py   the callbacks behind a figure
    timeline.py    all that lasted, of one worker or task
    loads.py       what several workers have and can take at a moment
    steps.py       the load of a worker's channels over time
    callbacks.py   callbacks as the log holds them
    wallboard.py   what a wallboard shows
    find.py        whose Sid it is
    moment.py      `projector at`
    explain.py     `projector explain`
    shown.py       an answer for people

Answers are rows: a key ending in `_at`, `since` and `until` are epoch milliseconds, `_ms` is a length, `event_sid` is the callback
behind what stands beside it, `…_name` is the name as sent then and `…_name_now` as it is now in the tables.
"""
