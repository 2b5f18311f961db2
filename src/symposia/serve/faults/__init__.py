"""What callers are told when something is refused or fails."""

from .fault import ErrorBody, ErrorObject, Fault, Served
from .mapped import View, fault_of, refused
from .table import CONDITIONS, KEPT_STATUSES, OF_CAUSE, Condition

__all__ = [
    "CONDITIONS",
    "Condition",
    "ErrorBody",
    "ErrorObject",
    "Fault",
    "KEPT_STATUSES",
    "OF_CAUSE",
    "Served",
    "View",
    "fault_of",
    "refused",
]
