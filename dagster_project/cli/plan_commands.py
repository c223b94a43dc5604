"""`recon plan`: the subcommands about tracking plans; each has a module of its own beside this one."""

from __future__ import annotations

import click


@click.group()
def plan() -> None:
    """Tracking plans: bring one in, judge events by it, see its health, enforce it before the warehouse."""
