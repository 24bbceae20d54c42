"""The writer of imports: what is recorded of an instance, in one transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from novadev.deployment import Deployment
from novadev.device.exchange.planning import check_places
from novadev.device.record.hashing import hash_of
from novadev.errors import BadInput, NovadevError, StalePlan, Unreachable
from novadev.runs.change import Change
from novadev.runs.place import Kind
from novadev.runs.plan import APPLIED, Outcome, Plan
from novadev.state.devices import VmDevice, VmDynamic
from novadev.state.vm_devices import VmDevices
from novadev.value import ABSENT, Value

Write = Callable[[Sequence[VmDevice]], tuple[VmDynamic, Sequence[VmDevice]]]


def apply(deployment: Deployment, plans: Sequence[Plan], resumed: bool) -> list[Outcome]:
    """Write what PLANS say, one after the other, and return an outcome for each, in order.

    RESUMED: an earlier run may have written them. Never raises for a plan: its outcome says it;
    what a lock or an unreachable database kept from being written stays for resume.
    """
    return [_apply_one(deployment, plan, resumed) for plan in plans]


def _apply_one(deployment: Deployment, plan: Plan, resumed: bool) -> Outcome:
    try:
        vm_devices = deployment.vm_devices
        vm_devices.replace(plan.instance, _writer(vm_devices, plan, resumed))
    except StalePlan as error:
        return Outcome("stale", str(error), error.exit_code)
    except Unreachable as error:
        return Outcome("started" if resumed else "planned", str(error), error.exit_code)
    except NovadevError as error:
        return Outcome("failed", str(error), error.exit_code)
    return APPLIED


def _writer(vm_devices: VmDevices, plan: Plan, resumed: bool) -> Write:
    """Return what makes of the recorded devices what PLAN says; it raises StalePlan."""

    def write(recorded: Sequence[VmDevice]) -> tuple[VmDynamic, Sequence[VmDevice]]:
        dynamic = vm_devices.list_dynamics([plan.instance]).get(plan.instance)
        if dynamic is None:
            raise StalePlan(f"instance {plan.instance}: nothing is recorded of it any more")
        changed = _changed(plan, recorded, resumed)
        return replace(dynamic, hash=hash_of(changed), fingerprint=""), changed

    return write


def _changed(plan: Plan, recorded: Sequence[VmDevice], resumed: bool) -> Sequence[VmDevice]:
    """Return the RECORDED devices as PLAN wants them, after comparing every before."""
    edits = list(_edits(plan))
    before = {device.device_id: device for device in recorded if device.is_plugged}
    if resumed and all(edit.is_done(before) for edit in edits):
        return recorded
    after = {device.device_id: device for device in recorded}
    for edit in edits:
        if not edit.is_planned(before):
            raise StalePlan(
                f"instance {plan.instance}: {edit.change.what} is no longer recorded as it was "
                "planned"
            )
        after[edit.device_id] = edit.of(after[edit.device_id])
    try:
        check_places(recorded, after.values())
    except BadInput as error:
        raise StalePlan(f"instance {plan.instance}: {error}") from None
    return list(after.values())


def _edits(plan: Plan) -> Iterator[_Edit]:
    for device_id, change in zip(plan.guard["devices"], plan.changes, strict=True):
        yield _Edit(device_id, change)


@dataclass(frozen=True)
class _Edit:
    """A change, and the id of its device."""

    device_id: str
    change: Change

    @property
    def _name(self) -> str:
        """The name of the field in VmDevice."""
        return "address" if self.change.place.kind is Kind.ADDRESS else "custom_properties"

    def is_planned(self, devices: dict[str, VmDevice]) -> bool:
        """Whether the device is among DEVICES, as it was planned."""
        return self._value(devices) == _text(self.change.before)

    def is_done(self, devices: dict[str, VmDevice]) -> bool:
        """Whether the device is among DEVICES, as it is to be."""
        return self._value(devices) == _text(self.change.after)

    def of(self, device: VmDevice) -> VmDevice:
        """Return DEVICE changed."""
        text = _text(self.change.after)
        if self._name == "address":
            return replace(device, address=text)
        return replace(device, custom_properties=text)

    def _value(self, devices: dict[str, VmDevice]) -> str | None:
        device = devices.get(self.device_id)
        return None if device is None else str(getattr(device, self._name))


def _text(value: Value) -> str:
    return "" if value is ABSENT else str(value)
