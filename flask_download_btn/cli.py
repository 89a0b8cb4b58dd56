"""The shell's door: `flask download-btn`."""

from __future__ import annotations

import time

import click
from flask.cli import AppGroup

from . import runs
from .doctor import findings
from .parts import Parts


def make_commands(parts: Parts) -> click.Group:
    """Make the commands of one app."""
    group = AppGroup("download-btn", help="Look after download buttons.")

    @group.command("runs")
    @click.option("--limit", default=20, show_default=True, help="How many, newest first.")
    def list_runs(limit: int) -> None:
        """List runs."""
        for run in parts.runs.recent(limit):
            click.echo(
                f"{run.id}  {run.state:<9}  {_ago(run.made_at):>8}  {run.btn_name or ''}"
                f"  {run.message or ''}".rstrip()
            )

    @group.command("cancel")
    @click.argument("run_id")
    def cancel_run(run_id: str) -> None:
        """Cancel a live run."""
        run = parts.runs.find(run_id)
        if run is None or not run.is_live:
            raise click.ClickException(
                f"There is no live run {run_id!r}. 'flask download-btn runs' lists them."
            )
        if run.state != runs.QUEUED or not parts.engine.cancel_queued(run_id):
            parts.runs.ask_to_cancel(run_id)
        click.echo(f"Run {run_id} stops at its next report.")

    @group.command("stats")
    def show_stats() -> None:
        """Count runs by state."""
        counts = parts.runs.counts()
        for state in (*runs.LIVE, *runs.ENDED):
            click.echo(f"{state:<9}  {counts.get(state, 0)}")

    @group.command("prune")
    @click.option("--dry-run", is_flag=True, help="Say what would go, and delete nothing.")
    def prune(dry_run: bool) -> None:
        """Delete files and runs that have outlived their time."""
        report, old_runs = parts.prune_now(dry_run=dry_run)
        verb = "Would delete" if dry_run else "Deleted"
        click.echo(
            f"{verb} {report.total} files ({report.expired} expired, {report.orphans} orphans,"
            f" {report.parts} unfinished, {report.lost} lost), {report.bytes} bytes,"
            f" and {old_runs} runs."
        )

    @group.command("doctor")
    def examine() -> None:
        """Check this deployment; exits with 1 if something will not work."""
        found = list(findings(parts))
        for finding in found:
            click.echo(f"{'WRONG ' if finding.is_wrong else 'advice'}  {finding.sentence}")
        if any(finding.is_wrong for finding in found):
            raise SystemExit(1)
        click.echo("Nothing is wrong.")

    return group


def _ago(moment: float) -> str:
    seconds = max(0, int(time.time() - moment))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
