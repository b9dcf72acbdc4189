"""The commands about other feeds. As in `cli.py`: parse, call, say; modules are imported inside the commands."""

import click

COMMANDS: list[click.Command] = []
