"""Kinds of servers, a file each: what to send them and what they answer."""

from capsexp.plugins import Configured
from capsexp.targets.base import Conversation, Partial, TargetConfig, TargetKind, TargetRequest

__all__ = ["TARGETS", "Conversation", "Partial", "TargetConfig", "TargetKind", "TargetRequest"]

TARGETS: Configured[TargetKind, TargetConfig] = Configured(
    "target", __name__, "capsexp.targets", ("Settings", "begin"), base=TargetConfig
)
