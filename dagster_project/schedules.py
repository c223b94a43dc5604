"""When the job runs by itself."""

from datetime import timedelta

import dagster as dg

from dagster_project.core.contracts import Workspace
from dagster_project.jobs import reconcile


def daily(workspace: Workspace) -> dg.ScheduleDefinition:
    """Every morning at 06:30 of the workspace's zone, for the day that ended: before people read numbers."""

    @dg.schedule(
        name="reconcile_daily",
        job=reconcile,
        cron_schedule="30 6 * * *",
        execution_timezone=workspace.timezone,
        description="06:30 in the workspace's zone, for the day before and every day re-opened since.",
    )
    def reconcile_daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=day, partition_key=day)

    return reconcile_daily
