"""Kinds of servers, one file each: what to send them and how to read their answers."""

from capsexp.plugins import Configured
from capsexp.targets.base import Conversation, Partial, TargetConfig, TargetKind, TargetRequest

__all__ = ["TARGETS", "Conversation", "Partial", "TargetConfig", "TargetKind", "TargetRequest"]

TARGETS: Configured[TargetKind, TargetConfig] = Configured(
    "target", __name__, "capsexp.targets", ("Settings", "begin"), base=TargetConfig
)
