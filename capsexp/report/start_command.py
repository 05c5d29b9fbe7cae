"""The line that starts what was measured: of our own server every setting that is not the default, of a server of the
user's the line that they gave."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import OmegaConf

from capsexp.address import is_loopback
from capsexp.commandline import fill, mentioned_in
from capsexp.config import PunctuationConfig, ServerConfig
from capsexp.engines import known
from capsexp.results.report import Start

# Where a run's server listens, and what only a server of somebody else's has.
_NOT_OURS = frozenset({"name", "token", "cmd", "url", "env", "cwd", "model", "install"})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./:-]*")
_READ_AS_OTHER = frozenset({"null", "true", "false", "nan", "inf", "yes", "no", "on", "off"})


def start(config: Mapping[str, Any], workers: int | None) -> Start:
    """`command`, quoted for a shell; `yaml`, a file for --config-dir; `note`, what is to be known beside them. Of a
    server that runs already there is no command."""
    server = config["server"]
    if server["name"] == "external":
        return Start(note=f"nothing to start: {server['url']} was measured as it runs")
    if server["name"] == "command":
        return _of_theirs(config, server)
    groups, settings, note = _groups(config), list(_settings(config)), None
    if not is_loopback(server["host"]) and not server.get("allow_anonymous"):
        settings.append(("server.token", "SECRET"))
        note = "SECRET: what clients must say"
    first = [("workers", workers or config["workers"]), ("threads", config["threads"])]
    words = [f"{key}={value}" for key, value in groups.items()]
    words = [f"{key}={spelled(value)}" for key, value in first] + words
    words += [f"{key}={spelled(value)}" for key, value in settings]
    command = shlex.join(["python", "-m", "capsexp.server", *words])
    return Start(command=command, yaml=_yaml(groups, [*first, *settings]), note=note)


def _of_theirs(config: Mapping[str, Any], server: Mapping[str, Any]) -> Start:
    cmd, env, cwd = server["cmd"] or "", server.get("env") or {}, server.get("cwd")
    told = {"workers": config["workers"], "threads": config["threads"], "host": server["host"]}
    told |= {"port": "PORT", "model": server.get("model") or "MODEL"}
    before = [f"{name}={shlex.quote(fill(value, **told))}" for name, value in env.items()]
    line = " ".join([*before, fill(cmd, **told)])
    there = f", in the folder {cwd}" if cwd else ""
    mentions = mentioned_in((cmd, *env.values()))
    listens = "PORT: the port to listen on" if "port" in mentions else f"it listens on port {server['port']}"
    return Start(command=line, note=f"{listens}{there}")


def _groups(config: Mapping[str, Any]) -> dict[str, str]:
    chosen = {name: str(config[name]["name"]) for name in ("pool", "engine")}
    asked = {name: str(config.get(name, {}).get("name", "none")) for name in ("placement", "punctuation")}
    return chosen | {name: value for name, value in asked.items() if value != "none"}


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What differs from what the groups bring."""
    engine = known(config["engine"]["name"])()
    usual = {"engine": engine, "punctuation": PunctuationConfig(), "server": ServerConfig()}
    for group, default in usual.items():
        for key, value in config.get(group, {}).items():
            taken = hasattr(default, key)  # what an older version had, this one may not take
            if key not in _NOT_OURS and taken and value != getattr(default, key):
                yield f"{group}.{key}", value


def spelled(value: Any) -> str:
    """A value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(spelled(one) for one in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{spelled(one)}' for key, one in value.items())}}}"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _READ_AS_OTHER:
        return text
    # Of backslashes Hydra takes away those before a quote, and OmegaConf those before `${`.
    text = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (r"\'" if found[2] else ""), _literal(text))
    return f"'{text}'"


def _yaml(groups: Mapping[str, str], settings: list[tuple[str, Any]]) -> str:
    tree: dict[str, Any] = {
        "defaults": ["config", *({f"override {key}": name} for key, name in groups.items()), "_self_"]
    }
    for key, value in settings:
        group, _, name = key.rpartition(".")
        (tree.setdefault(group, {}) if group else tree)[name] = _literal(value) if isinstance(value, str) else value
    return str(OmegaConf.to_yaml(OmegaConf.create(tree)))


def _literal(text: str) -> str:
    """Text that OmegaConf takes as it is, and not as the name of something else."""
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", text)
