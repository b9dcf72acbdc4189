"""A simulated contact center that emits real-shaped TaskRouter callbacks: for `projector demo`, tests and benchmarks.

    clock.py       lives that take turns on a simulated clock
    things.py      what the center is made of: channels, queues, workers, tasks, and how each tells of itself
    attributes.py  the JSON attributes of workers and tasks
    office.py      the whole: who is there, who waits for whom, and what was said
    journey.py     a task's life               shift.py   a worker's life
    handling.py    what a worker does with it  chores.py  what happens rarely
    center.py      `Floor`: begins them all and hands out what they say
    delivery.py    callbacks on their way: late, twice, signed and posted
    diary.py       what truly happened, for who checks what is worked out from callbacks

Shapes, orders and descriptions are those recorded from live accounts (2018, 2023); where nothing public is recorded, the
reference page's; where that is silent, the mechanical guess, which the code says. All of it is invented data.
"""
