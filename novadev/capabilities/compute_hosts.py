"""Compute hosts as Nova's rules need them, from capability files or from their own nova.conf."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from novadev.capabilities import file
from novadev.capabilities.content import Capabilities
from novadev.capabilities.saving import read_osinfo
from novadev.config import Config, DriverOptions, load_driver_options
from novadev.errors import BadInput
from novadev.foreign_file import read_text
from novadev.rules.guest import ARCHITECTURE_SPELLINGS, DriverRules
from novadev.rules.osinfo import NO_RECOMMENDATION, OsInfo, Recommendation
from novadev.rules.releases import NEWEST_RELEASE, may_run
from novadev.virt.capabilities import has_same_machine_types

_HOST = re.compile(r"[A-Za-z0-9._:-]+")
"""As novadev/virt/pool.py has it; no such name leaves a folder."""
_OWN = ("release", "is_assumed")
"""What is no option of a host."""


class OsInfoSource(Protocol):
    """Who knows libosinfo's recommendations."""

    @property
    def available(self) -> bool:
        """Whether there is a libosinfo."""

    def recommendation(self, os_distro: str | None, release: int) -> Recommendation:
        """Return what Nova of the release takes from libosinfo for this os_distro."""


class SavedOsInfo:
    """The recommendations in a capability file, None where the host has no libosinfo."""

    def __init__(self, recommendations: Mapping[str, Recommendation] | None) -> None:
        self._recommendations = recommendations

    @property
    def available(self) -> bool:
        """Whether the host has libosinfo."""
        return self._recommendations is not None

    def recommendation(self, os_distro: str | None, release: int) -> Recommendation:
        """Return what was saved for this os_distro."""
        return (self._recommendations or {}).get(os_distro or "", NO_RECOMMENDATION)


class LocalOsInfo:
    """libosinfo of this machine, read when first asked; raises NotAsNeeded if it is broken."""

    @cached_property
    def _osinfo(self) -> OsInfo:
        return read_osinfo()

    @property
    def available(self) -> bool:
        """Whether this machine has libosinfo."""
        return self._osinfo.available

    def recommendation(self, os_distro: str | None, release: int) -> Recommendation:
        """Return what libosinfo recommends here."""
        return self._osinfo.recommendation(os_distro, release)


@dataclass(frozen=True)
class ComputeHost:
    """What decides the devices of the guests on a compute host.

    origin says where that is known from, for people. machine_types are those of the host's own
    architecture, by name: each with the versioned name that it stands for; empty where they are
    not known. deprecated are those that its QEMU is going to drop. release is that of its Nova,
    None where it is not known and rules have the newest. qemu is the version of QEMU that the
    host's own capability file was saved with, None for any other file. outdated says that the
    host has another one by now. capabilities are all that its file has, None for a nova.conf.
    """

    host: str
    rules: DriverRules
    origin: str
    machine_types: Mapping[str, str]
    release: int | None
    osinfo: OsInfoSource = field(repr=False, compare=False)
    deprecated: frozenset[str] = frozenset()
    qemu: str | None = None
    outdated: str | None = None
    capabilities: Capabilities | None = field(default=None, repr=False, compare=False)

    @property
    def osinfo_available(self) -> bool:
        """Whether libosinfo is there; raises NotAsNeeded where its database is broken."""
        return self.osinfo.available

    def beside(self, qemu: str | None) -> ComputeHost:
        """Return what is known of the host now that it has this version of QEMU.

        An alias such as ``pc`` stands for another machine type with each of QEMU's releases. What
        a file says of the machine types of an earlier one is not known of this one.
        """
        if qemu is None or self.qemu is None or has_same_machine_types(qemu, self.qemu):
            return self
        outdated = (
            f"the machine types in {self.origin} are from QEMU {self.qemu}, but {self.host} has "
            f"{qemu} now: save the file again (novadev capabilities save)"
        )
        return replace(self, machine_types={}, deprecated=frozenset(), outdated=outdated)

    def is_of(self, version: int) -> bool:
        """Return whether the rules may be those of a nova-compute with this service VERSION.

        A file of --assume-config is what the operator says the host is.
        """
        return self.qemu is None or self.release is None or may_run(version, self.release)

    @property
    def is_osinfo_known(self) -> bool:
        """Whether it is known what libosinfo recommends there, or that the host has none."""
        return isinstance(self.osinfo, SavedOsInfo) or self.osinfo_available

    def recommendation(self, os_distro: str | None) -> Recommendation:
        """Return libosinfo's recommendation for an instance with this os_distro.

        Raises NotAsNeeded where the database of libosinfo is broken: Nova then registers nothing
        for such an instance.
        """
        if not os_distro:
            return NO_RECOMMENDATION
        return self.osinfo.recommendation(os_distro, self.rules.release)


class ComputeHosts:
    """The compute hosts by Nova's names of them, each read when first asked for.

    HOST.json and then HOST.conf are looked for in ``[novadev] compute_config_dir``. ASSUME, the
    file of --assume-config, goes for every host that has neither: a capability file or a
    nova.conf, whatever it is called. Raises BadInput for an ASSUME that is neither, and for a
    folder that cannot be read.
    """

    def __init__(self, config: Config, assume: str | None = None) -> None:
        self._folder = _readable(config.compute_config_dir)
        self._local = LocalOsInfo()
        self._same: dict[frozenset[tuple[str, Recommendation]] | None, SavedOsInfo] = {}
        self._kinds: list[Capabilities] = []
        self._found: dict[str | None, ComputeHost | BadInput | None] = {}
        self._rules: dict[tuple[str | None, int], DriverRules] = {}
        self._assumptions: dict[tuple[DriverOptions, bool], DriverRules] = {}
        self._assumed = None if assume is None else self._assume(assume)

    def find(self, host: str | None) -> ComputeHost | None:
        """Return what is known of HOST, None where nothing is; None is a host nobody knows.

        Raises BadInput, naming the file, for one that is bad or is another host's.
        """
        return self._find(host)

    def add(self, name: str, known: ComputeHost | None) -> None:
        """Have NAME, which is no host's, stand for a host of which this is KNOWN."""
        self._found[name] = known

    def _find(self, host: str | None) -> ComputeHost | None:
        if host not in self._found:
            self._found[host] = self._look_for(host)
        found = self._found[host]
        if isinstance(found, BadInput):
            raise found
        return found

    def rules_of(self, host: str | None, options: DriverOptions, release: int) -> DriverRules:
        """Return the rules of HOST, which runs this RELEASE; if none are known, see `assumed`."""
        key = (host, release)
        if key not in self._rules:
            try:
                found = self.find(host)
            except BadInput:
                found = None
            rules = found.rules if found else self.assumed(host, options)
            self._rules[key] = replace(rules, release=release)
        return self._rules[key]

    def assumed(self, host: str | None, options: DriverOptions) -> DriverRules:
        """Return rules for HOST, of which nothing is known.

        They are those that the files of all other hosts have in common, and for the rest those of
        OPTIONS, novadev's own. An instance on no host may start on any: for that, what all hosts
        have in common is not assumed.
        """
        is_assumed = host is not None or "virt_type" not in self._common
        key = (options, is_assumed)
        if key not in self._assumptions:
            rules = replace(driver_rules(options), **self._common, is_assumed=is_assumed)
            self._assumptions[key] = rules
        return self._assumptions[key]

    @cached_property
    def _common(self) -> Mapping[str, Any]:
        """The rules that are the same in the files of all hosts; none if a file is bad."""
        try:
            known = [found.rules for host in self._names() if (found := self._find(host))]
        except BadInput:
            return {}
        return {
            item.name: getattr(known[0], item.name)
            for item in fields(DriverRules)
            if item.name not in _OWN and len({getattr(rules, item.name) for rules in known}) == 1
        }

    def _names(self) -> list[str]:
        """Return the hosts that the folder has a file of."""
        files = self._folder.iterdir() if self._folder else ()
        return sorted({path.stem for path in files if path.suffix in (".json", ".conf")})

    def _look_for(self, host: str | None) -> ComputeHost | BadInput | None:
        """Return what `find` keeps: a bad file is read once too, whatever number of guests."""
        try:
            return self._in_folder(host) or self._assumed_for(host)
        except BadInput as error:
            return error

    def _in_folder(self, host: str | None) -> ComputeHost | None:
        if self._folder is None or host is None or not _HOST.fullmatch(host):
            return None
        capabilities, config = (self._folder / f"{host}{end}" for end in (".json", ".conf"))
        if os.path.lexists(capabilities):
            text = read_text(capabilities)
            return self._of_capabilities(capabilities, text, "capability file", host)
        return self._of_config(config, str(config), host) if os.path.lexists(config) else None

    def _assumed_for(self, host: str | None) -> ComputeHost | None:
        return None if self._assumed is None else replace(self._assumed, host=host or "")

    def _assume(self, name: str) -> ComputeHost:
        text = read_text(name)
        if text.lstrip().startswith("{"):
            return self._of_capabilities(Path(name), text, "--assume-config")
        return self._of_config(Path(name), f"--assume-config {name}")

    def _of_capabilities(
        self, path: Path, text: str, kind: str, host: str | None = None
    ) -> ComputeHost:
        found = file.loads(text, path)
        _check_host(path, found.host, host)
        elsewhere = f" (with the driver options of {found.saved_on})"
        example = " (an example, not a real host)" if found.example else ""
        origin = f"{kind} {path}{elsewhere if found.is_from_elsewhere else ''}{example}"
        return self.of(found, origin, None if host is None else found.versions.qemu)

    def of(self, found: Capabilities, origin: str, qemu: str | None) -> ComputeHost:
        """Return the host that has been FOUND, as its ORIGIN says; QEMU as in `ComputeHost`."""
        return ComputeHost(
            host=found.host,
            rules=driver_rules(found.driver, found.architecture, found.versions.nova),
            origin=origin,
            machine_types=_names(found),
            release=found.versions.nova,
            osinfo=self._shared(found.recommendations),
            deprecated=_deprecated(found),
            qemu=qemu,
            capabilities=self._of_its_kind(found),
        )

    def _of_its_kind(self, found: Capabilities) -> Capabilities:
        """Return one value for all hosts that are alike: a thousand of them are of few kinds."""
        nameless = replace(found, host="", saved_on="", saved_at="")
        for known in self._kinds:
            if known == nameless:
                return known
        self._kinds.append(nameless)
        return nameless

    def _shared(self, recommendations: Mapping[str, Recommendation] | None) -> OsInfoSource:
        """Return one source for all hosts with the same recommendations: there are a thousand."""
        key = None if recommendations is None else frozenset(recommendations.items())
        return self._same.setdefault(key, SavedOsInfo(recommendations))

    def _of_config(self, path: Path, origin: str, host: str | None = None) -> ComputeHost:
        read_text(path)  # oslo.config would read a pipe, or any amount
        named, options = load_driver_options(str(path))
        _check_host(path, named, host)
        return ComputeHost(
            host=host or named or "",
            rules=driver_rules(options),
            origin=origin,
            machine_types={},
            release=None,
            osinfo=self._local,
        )


def _readable(folder: str | None) -> Path | None:
    if folder is None:
        return None
    if not Path(folder).is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        raise BadInput(f"[novadev] compute_config_dir {folder} is not a readable folder")
    return Path(folder)


def _check_host(path: Path, named: str | None, host: str | None) -> None:
    """Raise BadInput if the file is to be HOST's and names another one."""
    if host is not None and named not in (None, host):
        raise BadInput(f"{path} is the file of another host: {named!r}")


def driver_rules(
    options: DriverOptions, architecture: str = "x86_64", release: int | None = None
) -> DriverRules:
    """Return the rules of a host whose driver has these OPTIONS, and which runs this RELEASE."""
    arch = ARCHITECTURE_SPELLINGS.get(architecture, architecture)
    return DriverRules(**asdict(options), host_arch=arch, release=release or NEWEST_RELEASE)


def _names(found: Capabilities) -> dict[str, str]:
    machines = found.machine_types.get(found.architecture, {})
    return {name: machine.canonical for name, machine in machines.items()}


def _deprecated(found: Capabilities) -> frozenset[str]:
    machines = found.machine_types.get(found.architecture, {})
    return frozenset(name for name, machine in machines.items() if machine.deprecated)
