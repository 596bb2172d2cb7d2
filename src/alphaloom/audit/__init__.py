"""Look-ahead audit: nothing at date t may change when only later data do."""

from alphaloom.audit.components import (
    Components,
    audit_components,
    audit_features,
    audit_sample,
    default_components,
    replace_rows,
)
from alphaloom.audit.report import AuditReport, Check, Finding

__all__ = [
    "AuditReport",
    "Check",
    "Components",
    "Finding",
    "audit_components",
    "audit_features",
    "audit_sample",
    "default_components",
    "replace_rows",
]
