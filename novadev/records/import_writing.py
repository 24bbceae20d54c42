"""The writer of imports: what is recorded of an instance, in one transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from novadev.deployment import Deployment
from novadev.errors import BadInput, NovadevError, StalePlan, Unreachable
from novadev.records.device import VmDevice, VmDynamic
from novadev.records.hash import hash_of
from novadev.records.import_ import check_places
from novadev.records.store import VmDevices
from novadev.runs.change import Change
from novadev.runs.found import Found, Verdict, compare, judge
from novadev.runs.lease import Fence
from novadev.runs.place import Kind
from novadev.runs.plan import APPLIED, Outcome, Plan
from novadev.runs.states import State
from novadev.value import ABSENT, Value

Write = Callable[[Sequence[VmDevice]], tuple[VmDynamic, Sequence[VmDevice]]]


def apply(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool, fence: Fence
) -> list[Outcome]:
    """Write what PLANS say, one after the other, and return an outcome for each, in order.

    RESUMED: an earlier run may have written them. Raises what FENCE raises, but never for a plan:
    its outcome says it; what a lock or an unreachable database kept from being written stays for
    resume.
    """
    outcomes = []
    for plan in plans:
        fence()
        outcomes.append(_apply_one(deployment, plan, resumed))
    return outcomes


def _apply_one(deployment: Deployment, plan: Plan, resumed: bool) -> Outcome:
    try:
        vm_devices = VmDevices(deployment.state)
        vm_devices.replace(plan.instance, _writer(vm_devices, plan, resumed))
    except _HalfThere as error:
        return Outcome(State.HALF, str(error), error.exit_code)
    except StalePlan as error:
        return Outcome(State.STALE, str(error), error.exit_code)
    except Unreachable as error:
        state = State.STARTED if resumed else State.PLANNED
        return Outcome(state, str(error), error.exit_code)
    except NovadevError as error:
        state = State.STARTED if resumed else State.FAILED
        return Outcome(state, str(error), error.exit_code)
    return APPLIED


class _HalfThere(StalePlan):
    """A part of the plan is recorded, and somebody else has changed the rest."""


def _writer(vm_devices: VmDevices, plan: Plan, resumed: bool) -> Write:
    """Return what makes of the recorded devices what PLAN says; it raises StalePlan."""

    def write(recorded: Sequence[VmDevice]) -> tuple[VmDynamic, Sequence[VmDevice]]:
        dynamic = vm_devices.list_dynamics([plan.instance]).get(plan.instance)
        if dynamic is None:
            raise StalePlan(f"instance {plan.instance}: nothing is recorded of it any more")
        changed = _changed(plan, recorded, resumed)
        _check_pins(vm_devices, plan.instance, recorded, changed)
        return replace(dynamic, hash=hash_of(changed), fingerprint=""), changed

    return write


def _check_pins(
    vm_devices: VmDevices, vm_id: str, recorded: Sequence[VmDevice], changed: Sequence[VmDevice]
) -> None:
    """Raise StalePlan where a recorded address is to be CHANGED that somebody has pinned since."""
    pins = vm_devices.list_pins([vm_id]).get(vm_id, {})
    before = {device.device_id: device.address for device in recorded}
    for device in changed:
        if device.device_id in pins and device.address != before[device.device_id]:
            raise StalePlan(
                f"instance {vm_id}: the recorded address of {device.label} is pinned: run novadev "
                f"device unpin {vm_id} first"
            )


def _changed(plan: Plan, recorded: Sequence[VmDevice], resumed: bool) -> Sequence[VmDevice]:
    """Return the RECORDED devices as PLAN wants them, after comparing every before."""
    before = {device.device_id: device for device in recorded if device.is_plugged}
    edits = [(edit, edit.found(before)) for edit in _edits(plan)]
    if not plan.partly:
        _check_planned(plan, edits, resumed)
    after = {device.device_id: device for device in recorded}
    for edit, found in edits:
        if found is Found.BEFORE:
            after[edit.device_id] = edit.of(after[edit.device_id])
    try:
        check_places(recorded, after.values())
    except BadInput as error:
        raise StalePlan(f"instance {plan.instance}: {error}") from None
    return list(after.values())


def _check_planned(plan: Plan, edits: Sequence[tuple[_Edit, Found]], resumed: bool) -> None:
    """Raise StalePlan where what is recorded is not as it was planned."""
    verdict = judge((found for _, found in edits), resumed)
    if verdict is Verdict.WRITE:
        return
    edit = next(edit for edit, found in edits if found is not Found.BEFORE)
    text = f"instance {plan.instance}: {edit.change.what} is no longer recorded as it was planned"
    raise _HalfThere(text) if verdict is Verdict.HALF else StalePlan(text)


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

    def found(self, devices: dict[str, VmDevice]) -> Found:
        """Return what is recorded of it among DEVICES."""
        device = devices.get(self.device_id)
        if device is None:
            return Found.OTHER
        return compare(self.change, str(getattr(device, self._name)) or ABSENT)

    def of(self, device: VmDevice) -> VmDevice:
        """Return DEVICE changed."""
        text = _text(self.change.after)
        if self._name == "address":
            return replace(device, address=text)
        return replace(device, custom_properties=text)


def _text(value: Value) -> str:
    return "" if value is ABSENT else str(value)
