"""One schema for the whole configuration tree, a file per group with its defaults and its own checks.

`whole` puts them together, `composed` reads what Hydra composed. Sizes are MB (2**20 bytes), times seconds, unless a
name says otherwise.
"""

from omegaconf import OmegaConf

from capsexp.config.archive import ArchiveConfig
from capsexp.config.composed import literal, resolve, schema, to_dict, to_yaml, without_labels
from capsexp.config.fault import CLIENT_FAULTS, NODE_FAULTS, WORKER_FAULTS, FaultConfig
from capsexp.config.load import LoadConfig, repeat_count
from capsexp.config.monitor import MonitorConfig
from capsexp.config.names import LONGEST, conf_dir, engine_languages, languages, slug
from capsexp.config.placement import PlacementConfig
from capsexp.config.pool import POOLS, PoolConfig
from capsexp.config.punctuation import PunctuationConfig
from capsexp.config.reference import ReferenceConfig
from capsexp.config.report import ReportConfig
from capsexp.config.samples import SamplesConfig
from capsexp.config.search import SEARCHES, SearchConfig
from capsexp.config.server import DISPATCH, SERVERS, ServerConfig
from capsexp.config.slo import SloConfig
from capsexp.config.thresholds import ThresholdsConfig
from capsexp.config.validity import ValidityConfig
from capsexp.config.whole import AUTO_TRIALS, Config, check, trial_count, worker_count

__all__ = [
    "AUTO_TRIALS",
    "CLIENT_FAULTS",
    "DISPATCH",
    "LONGEST",
    "NODE_FAULTS",
    "POOLS",
    "SEARCHES",
    "SERVERS",
    "WORKER_FAULTS",
    "ArchiveConfig",
    "Config",
    "FaultConfig",
    "LoadConfig",
    "MonitorConfig",
    "PlacementConfig",
    "PoolConfig",
    "PunctuationConfig",
    "ReferenceConfig",
    "ReportConfig",
    "SamplesConfig",
    "SearchConfig",
    "ServerConfig",
    "SloConfig",
    "ThresholdsConfig",
    "ValidityConfig",
    "check",
    "conf_dir",
    "engine_languages",
    "languages",
    "literal",
    "repeat_count",
    "resolve",
    "schema",
    "slug",
    "to_dict",
    "to_yaml",
    "trial_count",
    "without_labels",
    "worker_count",
]  # fmt: skip


OmegaConf.register_new_resolver("capsexp.slug", slug, replace=True)
