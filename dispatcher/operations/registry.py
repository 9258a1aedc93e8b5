"""The operations by name, and the one way in: arguments checked, refusals of one kind, whoever calls."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from dispatcher.operations import (
    applying,
    campaigns,
    customers,
    database,
    holds,
    lane_story,
    messages,
    outlook,
    preview,
    providers,
    reload,
    report,
    requests,
    send,
    suppressions,
)
from dispatcher.operations.office import Args, NoArgs, Office, OperationError, Result, RowsArgs
from dispatcher.operations.refusals import wrong
from dispatcher.store.database import StoreError

log = structlog.get_logger()


class Operation(NamedTuple):
    """An operation: what it takes, and what it does."""

    args: type[Args]
    function: Callable[[Office, Any], Awaitable[Result]]


OPERATIONS: Final[Mapping[str, Operation]] = {
    "customers.import": Operation(RowsArgs, customers.import_customers),
    "customers.show": Operation(customers.CustomerArgs, customers.show),
    "customers.erase": Operation(customers.CustomerArgs, customers.erase),
    "activity.import": Operation(RowsArgs, customers.import_activity),
    "campaign.apply": Operation(applying.ApplyArgs, applying.apply),
    "campaign.list": Operation(campaigns.ListArgs, campaigns.listed),
    "campaign.show": Operation(campaigns.ShowArgs, campaigns.show),
    "campaign.preview": Operation(preview.PreviewArgs, preview.preview),
    "campaign.approve": Operation(campaigns.ApproveArgs, campaigns.approve),
    "campaign.cancel": Operation(campaigns.CancelArgs, campaigns.cancel),
    "send.requests": Operation(requests.RequestsArgs, requests.requests),
    "send.lines": Operation(requests.LinesArgs, requests.lines),
    "send.audience": Operation(send.AudienceArgs, send.audience),
    "send.step": Operation(send.StepArgs, send.step),
    "send.lateness": Operation(send.AudienceArgs, send.lateness),
    "send.coming": Operation(send.ComingArgs, send.coming),
    "plan": Operation(outlook.PlanArgs, outlook.planned),
    "status": Operation(NoArgs, outlook.status),
    "hold": Operation(holds.HoldArgs, holds.hold),
    "resume": Operation(holds.ResumeArgs, holds.resume),
    "report": Operation(report.ReportArgs, report.report),
    "providers.list": Operation(NoArgs, providers.listed),
    "providers.explain": Operation(providers.ExplainArgs, providers.explain),
    "lanes.list": Operation(NoArgs, lane_story.listed),
    "lanes.show": Operation(lane_story.LaneArgs, lane_story.show),
    "lanes.history": Operation(lane_story.HistoryArgs, lane_story.days),
    "lanes.import": Operation(RowsArgs, lane_story.import_days),
    "messages.list": Operation(messages.ListArgs, messages.listed),
    "messages.show": Operation(messages.ShowArgs, messages.show),
    "messages.settle": Operation(messages.SettleArgs, messages.settle),
    "suppress.add": Operation(suppressions.AddArgs, suppressions.add),
    "suppress.remove": Operation(suppressions.RemoveArgs, suppressions.remove),
    "suppress.list": Operation(suppressions.ListArgs, suppressions.listed),
    "suppress.import": Operation(RowsArgs, suppressions.import_rows),
    "check.rates": Operation(reload.CheckArgs, reload.check_rates),
    "db.check": Operation(NoArgs, database.check),
    "reload": Operation(NoArgs, reload.reload),
}

ASKING: Final = frozenset({
    "customers.show", "campaign.list", "campaign.show", "campaign.preview", "plan", "status", "lanes.list",
    "lanes.show", "lanes.history", "messages.list", "messages.show", "providers.list", "report", "send.coming",
    "send.lateness", "suppress.list", "check.rates", "db.check",
})
"""Operations that change nothing: they are answered while the daemon is stopping, too."""


async def perform(office: Office, name: str, args: Mapping[str, Any]) -> Result:
    """Carry an operation out; its result, or OperationError."""
    operation = OPERATIONS.get(name)
    if operation is None:
        raise OperationError("unknown", f"there is no operation {name}")
    try:
        checked = operation.args.model_validate(args)
    except ValidationError as error:
        raise OperationError("usage", "the arguments cannot be", wrong(error)) from None
    if office.works.closing and name not in ASKING:
        raise OperationError("failed", "the daemon is stopping; try again when it has started anew")
    try:
        return await operation.function(office, checked)
    except DBAPIError as error:
        # The statement and its values are not told: they hold what people sent in.
        log.error("operation_failed", operation=name, why=str(error.orig))  # noqa: TRY400 -- the store's trouble, not a fault to trace
        raise OperationError("failed", f"the store cannot do it just now: {error.orig}") from None
    except StoreError as error:
        log.error("operation_failed", operation=name, why=str(error))  # noqa: TRY400 -- the message says what to do
        raise OperationError("failed", str(error)) from None
