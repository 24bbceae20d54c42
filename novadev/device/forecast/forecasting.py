"""What the next start of guests will change in their hardware: the work behind ``device forecast``.

Nothing is written anywhere: hosts are read, and where devices will be is asked of a libvirt of our
own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from novadev.capabilities.compute_hosts import ComputeHost, ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.device.forecast.decided import Decided
from novadev.device.forecast.deciding import decide
from novadev.device.forecast.guest import RESCUED, predict_power_on, predict_soft_reboot
from novadev.device.forecast.keeping import Keeping, kept
from novadev.device.forecast.layouts import Layouts
from novadev.device.forecast.records import ForecastRecord, Note, Prediction, records_of
from novadev.device.forecast.warnings import warnings
from novadev.device.hosted_instance import HostedInstance
from novadev.device.selecting import is_without_databases, iter_chunk, iter_hosted
from novadev.errors import NotAsNeeded, NovadevError
from novadev.image_property.facts import Facts, read_facts
from novadev.rules.defaults import REFUSALS
from novadev.runs.plan import Skip
from novadev.selection import Chunk, Selection, iter_by_host, of_chunks
from novadev.virt.scratch import Layout

After = Literal["power-on", "soft-reboot"]
Forecast = ForecastRecord | Note | Skip


def forecast(
    deployment: Deployment,
    selection: Selection,
    after: After = "power-on",
    assume_config: str | None = None,
) -> Iterator[Forecast]:
    """Yield what Nova's next power-on, or a soft reboot, changes in the selected guests.

    The records of a guest come together, then notes about it. Raises as
    :func:`novadev.selection.iter_by_host`, and BadInput for a bad ASSUME_CONFIG.
    """
    hosts = ComputeHosts(deployment.config, assume_config)
    with Layouts() as layouts:
        work = Forecasts(deployment, hosts, layouts, after)
        for chunk in _iter_known(deployment, selection, hosts):
            yield from work.of(chunk)


Known = tuple[HostedInstance, Facts | None] | Skip


def _iter_known(
    deployment: Deployment, selection: Selection, hosts: ComputeHosts
) -> Iterator[list[Known]]:
    """Yield the selected instances with what is stored of them; None where no database is read."""
    if is_without_databases(deployment, no_database=False):
        for hosted in iter_hosted(deployment, selection):
            yield [item if isinstance(item, Skip) else (item, None) for item in hosted]
        return

    def known(chunk: Chunk) -> Iterator[list[Known]]:
        releases = ServerReleases(deployment, hosts)
        facts = {found.instance.uuid: found for found in read_facts(deployment, chunk, releases)}
        members = iter_chunk(deployment, chunk, selection.is_named)
        yield [one if isinstance(one, Skip) else (one, facts[one.uuid]) for one in members]

    for found in of_chunks(iter_by_host(deployment, selection), known, selection.is_named):
        yield [found] if isinstance(found, Skip) else found


class Forecasts:
    """The forecasts of one run, and what it has said once."""

    def __init__(
        self, deployment: Deployment, hosts: ComputeHosts, layouts: Layouts, after: After
    ) -> None:
        self._deployment, self._hosts, self._layouts = deployment, hosts, layouts
        self._is_power_on = after == "power-on"
        self._keeping = Keeping(deployment.config)
        self._told: set[str] = set()

    def of(self, chunk: list[Known]) -> Iterator[Forecast]:
        """Yield the forecasts of the instances in CHUNK, host by host."""
        work: dict[str, list[tuple[Any, ...]]] = {}
        facts: dict[str, Facts | None] = {}
        for item in chunk:
            if isinstance(item, Skip):
                yield item
                continue
            instance, facts[item[0].uuid] = item
            try:
                asked = self._question(instance, item[1])
            except NovadevError as error:
                yield Skip.of(instance.uuid, error, instance.named)
                continue
            yield from self._about_host(instance, item[1])
            work.setdefault(instance.host, []).append(asked)
        predict: Any = predict_power_on if self._is_power_on else predict_soft_reboot
        for answer in self._deployment.hosts.run(predict, work):
            asked_of: HostedInstance = answer.arguments[0]
            if answer.error is not None:
                yield Skip.of(asked_of.uuid, answer.error, asked_of.named)
            else:
                yield from self._told_of(answer.result(), asked_of.host, facts[asked_of.uuid])

    def _question(self, instance: HostedInstance, facts: Facts | None) -> tuple[Any, ...]:
        """Return what the host's process is asked; raises NotAsNeeded where Nova would fail."""
        if instance.vm_state == "rescued":
            raise NotAsNeeded(f"instance {instance.uuid} {RESCUED}")
        if not self._is_power_on:
            return (instance,)
        if facts is None:
            return (instance, Decided())
        try:
            return (instance, decide(facts, self._compute(instance.host)))
        except REFUSALS as error:
            raise NotAsNeeded(
                f"instance {instance.uuid}: Nova cannot power it on: {error}"
            ) from error

    def _compute(self, host: str) -> ComputeHost | None:
        return self._hosts.find(host)

    def _about_host(self, instance: HostedInstance, facts: Facts | None) -> Iterator[Note]:
        """Say once of each host that its rules are not known, and whether it keeps addresses."""
        if not self._is_power_on:
            return
        for text in self._keeping.notes(instance.host):
            yield from self._once(text)
        if facts is None or self._compute(instance.host) is not None:
            return
        text = (
            f"host {instance.host}: its rules are not known (novadev capabilities save), so the "
            "forecast assumes that guests keep every model and machine type that is not stored"
        )
        yield from self._once(text)

    def _once(self, text: str) -> Iterator[Note]:
        if text not in self._told:
            self._told.add(text)
            yield Note(None, text)

    def _told_of(
        self, prediction: Prediction, host: str, facts: Facts | None
    ) -> Iterator[Forecast]:
        if prediction.about_host is not None:
            yield from self._once(prediction.about_host)
        notes = [*prediction.notes]
        layout = Layout(())
        if prediction.board is not None:
            layout, told = self._layouts.lay_out(prediction.board, prediction.libvirt)
            if told is not None and told.of_all:
                yield from self._once(told.text)
            elif told is not None:
                notes.append(told.text)
            layout = kept(prediction, layout) if self._keeping.keeps(host) else layout
        records = list(records_of(prediction, layout))
        yield from records
        notes += warnings(records, facts.guest if facts else None)
        yield from (Note(prediction.instance, text) for text in notes)
