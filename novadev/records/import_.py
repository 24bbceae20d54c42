"""Addresses of a file brought to what is recorded of instances: the plans, and their writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from novadev.deployment import Deployment
from novadev.errors import BadInput, NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.records import file
from novadev.records.addresses import Buses, why_unfit
from novadev.records.baseline import RecordedInstance, get_recorded
from novadev.records.device import VmDevice, VmDynamic, as_pinned
from novadev.records.file_contents import BrokenInstance, ExportedInstance
from novadev.records.import_places import check_changed, check_found, check_pins, check_places
from novadev.records.partners import Matched, item_text, match
from novadev.records.store import VmDevices
from novadev.runs.change import Change
from novadev.runs.lease import Fence
from novadev.runs.place import Kind, Place
from novadev.runs.plan import APPLIED, Outcome, Plan, Planned, Skip
from novadev.runs.precondition import Found, Verdict, compare, judge
from novadev.runs.preview import Previewed
from novadev.runs.states import State
from novadev.value import ABSENT, Value
from novadev.virt.address_syntax import completed_text, normal_text

ACTION = "device import"
_NAMED = 10
"""Devices that a note names."""
Write = Callable[[Sequence[VmDevice]], tuple[VmDynamic, Sequence[VmDevice]]]


def plan_import(deployment: Deployment, name: str, instance: str | None) -> Iterator[Planned]:
    """Return plans that give recorded devices the addresses that the file NAME has for them.

    Of each instance in the file, or of INSTANCE in the place of the one in it. Custom properties
    come with the addresses, where the file has any. Of several instances, one that is broken, whose
    devices do not match, or of which nothing is recorded, is a Skip that says why.

    Raises BadInput, naming the item, for a file that is none; of a single instance also for devices
    that do not match and addresses that do not fit, and as
    :func:`novadev.records.baseline.get_recorded`.
    """
    found = file.read(name)
    if instance is not None and len(found) > 1:
        raise BadInput(
            f"{name} has {len(found)} instances, and --instance needs a file with only one"
        )
    match found:
        case (ExportedInstance() as exported,):
            plan = _plan_one(deployment, exported, name, instance)
            return iter([plan] if plan.changes else [])
    return _plan_each(deployment, found, name)


def _plan_each(
    deployment: Deployment, found: Iterable[ExportedInstance | BrokenInstance], name: str
) -> Iterator[Planned]:
    for exported in found:
        if isinstance(exported, BrokenInstance):
            yield Skip.of(exported.instance, exported.error, named=True)
            continue
        try:
            plan = _plan_one(deployment, exported, name, None)
        except (BadInput, NotAsNeeded, NotFound) as error:
            yield Skip.of(exported.instance, error, named=True)
        else:
            yield from [plan] if plan.changes else []


def _plan_one(
    deployment: Deployment, exported: ExportedInstance, name: str, instance: str | None
) -> Plan:
    target = get_recorded(deployment, instance or _told(exported, name))
    try:
        return plan_recorded(exported, target)
    except BadInput as error:
        raise BadInput(f"{name}: instance {target.uuid}: {error}") from None


def _told(exported: ExportedInstance, name: str) -> str:
    if not exported.instance:
        raise BadInput(
            f"{name} does not say to which instance its devices belong: name it with --instance"
        )
    return exported.instance


@dataclass(frozen=True)
class _Brought:
    """A recorded device as it is, and as it will be."""

    before: VmDevice
    after: VmDevice

    @property
    def changes(self) -> Iterator[Change]:
        before, after = self.before, self.after
        if after.address != before.address:
            place = Place(Kind.ADDRESS, before.label)
            yield Change(place, before.address or ABSENT, after.address or ABSENT)
        if after.custom_properties != before.custom_properties:
            old, new = before.custom_properties, after.custom_properties
            yield Change(Place(Kind.CUSTOM_PROPERTIES, before.label), old or ABSENT, new or ABSENT)


def plan_recorded(exported: ExportedInstance, target: RecordedInstance) -> Plan:
    """Return the plan that brings what is EXPORTED to the recorded TARGET.

    Raises BadInput, naming the item, as :func:`plan_import`, and NotAsNeeded where a pinned address
    would change, or a device would be where a pinned one was last found.
    """
    wanted = as_pinned(target.devices, target.pins)
    absent = {row.device_id for row in target.devices if not row.is_plugged}
    matched = match(exported.devices, wanted, exported.instance == target.uuid, absent)
    pairs = sorted(matched.pairs, key=lambda pair: pair[1].label)
    brought = [_bring(one, other, other.device_id in absent) for one, other in pairs]
    _check_unpinned(brought, target)
    after = {item.after.device_id: item.after for item in brought}
    check_places(wanted, [after.get(item.device_id, item) for item in wanted])
    check_found(target.uuid, wanted, list(after.values()), target.found, target.pins)
    _check_reachable(brought, Buses(target.devices))
    changed = [(item.before.device_id, change) for item in brought for change in item.changes]
    return Plan(
        action=ACTION,
        instance=target.uuid,
        cell=target.cell,
        changes=tuple(change for _, change in changed),
        name=target.name,
        host=target.dynamic.host,
        notes=tuple(_notes(matched)),
        guard={"devices": [device_id for device_id, _ in changed]},
    )


def _bring(one: VmDevice, other: VmDevice, is_absent: bool) -> _Brought:
    """Return the recorded device OTHER with what its partner ONE of the file has.

    It keeps its address where the file has none for it, or the same place in other words, whether
    it fits or not; and on s390x the uid and fid where the file has none. It keeps everything but
    its address where the guest has it no longer (IS_ABSENT).
    """
    wanted = completed_text(one.address, other.address)
    is_there = normal_text(wanted) in ("", normal_text(other.address))
    objection = None if is_there else why_unfit(other, wanted)
    if objection:
        raise BadInput(f"{item_text(one)} cannot give {one.address} to {other.label}: {objection}")
    address = other.address if is_there else wanted
    properties = other.custom_properties if is_absent else one.custom_properties
    properties = properties or other.custom_properties
    return _Brought(other, replace(other, address=address, custom_properties=properties))


def _check_unpinned(brought: Iterable[_Brought], target: RecordedInstance) -> None:
    """Raise NotAsNeeded where the address of a pinned device would change."""
    pinned = [
        item.before.label
        for item in brought
        if item.before.device_id in target.pins and item.after.address != item.before.address
    ]
    if pinned:
        raise NotAsNeeded(
            f"instance {target.uuid}: the recorded address of {', '.join(pinned[:_NAMED])} is "
            f"pinned: run novadev device unpin {target.uuid} first"
        )


def _check_reachable(brought: Iterable[_Brought], buses: Buses) -> None:
    """Raise BadInput where a device would be on a bus that its guest has not."""
    for item in brought:
        moves = item.before.address != item.after.address
        objection = buses.why_not(item.after) if moves else None
        if objection:
            text = f"{item_text(item.after)} cannot be at {item.after.address}"
            raise BadInput(f"{text}: {objection}")


def _notes(matched: Matched) -> Iterator[str]:
    yield (
        "Only the record changes. Run novadev device restore (or device pin) before the guest is "
        "recorded again, by novadev device record, device watch or novadev-nova-compute, which "
        "would store its present addresses."
    )
    if matched.by_order:
        yield f"Matched only by their order: {_names(matched.by_order)}."
    if matched.only_in_file:
        yield f"In the file but not in the instance: {_names(matched.only_in_file)}."
    if matched.only_recorded:
        yield f"Not in the file, so unchanged in the record: {_names(matched.only_recorded)}."


def _names(devices: Sequence[VmDevice]) -> str:
    more = f" and {len(devices) - _NAMED} more" if len(devices) > _NAMED else ""
    return ", ".join(device.label for device in devices[:_NAMED]) + more


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
        outcomes.append(_outcome(deployment, plan, resumed, VmDevices.replace))
    return outcomes


def preview(deployment: Deployment, plans: Sequence[Plan], resumed: bool) -> list[Previewed]:
    """Return PLANS, each with what `apply` would make of it now; nothing is written."""

    def compare_alone(vm_devices: VmDevices, vm_id: str, write: Write) -> None:
        write(vm_devices.list_devices([vm_id]).get(vm_id, ()))

    return [(plan, _outcome(deployment, plan, resumed, compare_alone)) for plan in plans]


def _outcome(
    deployment: Deployment,
    plan: Plan,
    resumed: bool,
    replace_devices: Callable[[VmDevices, str, Write], None],
) -> Outcome:
    """Return what becomes of PLAN when REPLACE_DEVICES gets what it makes of the devices."""
    left: dict[str, str] = {}
    try:
        vm_devices = VmDevices(deployment.state)
        replace_devices(vm_devices, plan.instance, _writer(vm_devices, plan, resumed, left))
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
    return _landed(plan, left)


def _landed(plan: Plan, left: Mapping[str, str]) -> Outcome:
    """Return the outcome of PLAN when it is recorded; LEFT says what is not taken back, and why."""
    if not left:
        return APPLIED
    told = ", ".join(f"{what} {why}" for what, why in left.items())
    text = f"instance {plan.instance}: {told}; this part is left as it is"
    return Outcome(State.APPLIED, text, left=left)


class _HalfThere(StalePlan):
    """A part of the plan is recorded, and somebody else has changed the rest."""


def _writer(vm_devices: VmDevices, plan: Plan, resumed: bool, left: dict[str, str]) -> Write:
    """Return what makes of the recorded devices what PLAN says; it raises StalePlan.

    It puts into LEFT why a change is not made, by the text of its place.
    """

    def write(recorded: Sequence[VmDevice]) -> tuple[VmDynamic, Sequence[VmDevice]]:
        dynamic = vm_devices.list_dynamics([plan.instance]).get(plan.instance)
        if dynamic is None:
            raise StalePlan(f"instance {plan.instance}: it has no record any more")
        pins = vm_devices.list_pins([plan.instance]).get(plan.instance, {})
        known = {plan.instance: tuple(recorded)}
        found = vm_devices.list_found(known, {plan.instance: pins})[plan.instance]
        changed = _changed(plan, recorded, resumed, left)
        check_pins(plan.instance, pins, recorded, changed)
        check_changed(plan, recorded, changed, found, pins)
        return replace(dynamic, fingerprint=""), changed

    return write


def _changed(
    plan: Plan, recorded: Sequence[VmDevice], resumed: bool, left: dict[str, str]
) -> Sequence[VmDevice]:
    """Return the RECORDED devices as PLAN wants them, after comparing every before.

    LEFT gets what another has changed, if PLAN takes back as much as possible. Raises StalePlan.
    """
    before = {device.device_id: device for device in recorded if device.is_plugged}
    edits = [(edit, edit.found(before)) for edit in _edits(plan)]
    if not plan.partly:
        _check_planned(plan, edits, resumed)
    others = [edit for edit, found in edits if found is Found.OTHER]
    left.clear()
    left.update({edit.change.what: edit.why_left(before) for edit in others})
    after = {device.device_id: device for device in recorded}
    for edit, found in edits:
        if found is Found.BEFORE:
            after[edit.device_id] = edit.of(after[edit.device_id])
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

    def why_left(self, devices: Mapping[str, VmDevice]) -> str:
        """Return what is recorded of it among DEVICES in the place of what was expected."""
        device = devices.get(self.device_id)
        if device is None:
            return "is gone"
        return f"is recorded as {getattr(device, self._name) or 'absent'}"

    def of(self, device: VmDevice) -> VmDevice:
        """Return DEVICE changed."""
        text = _text(self.change.after)
        if self._name == "address":
            return replace(device, address=text)
        return replace(device, custom_properties=text)


def _text(value: Value) -> str:
    return "" if value is ABSENT else str(value)
