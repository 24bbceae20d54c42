"""What a change of properties means for the guest: its disks, and what comes to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from novadev.image_property.facts import Facts
from novadev.image_property.sync import NO_IMAGE
from novadev.nova.instances import Instance
from novadev.rules.disks import GuestDisk, guest_disks
from novadev.rules.guest import ComputeRules, Guest, is_unnamed, property_value
from novadev.rules.image_meta import unreadable
from novadev.rules.refused_buses import without_refused_buses
from novadev.rules.validity import NO_EFFECT
from novadev.runs.change import Effect
from novadev.value import Value

_SHELVED = ("shelved", "shelved_offloaded")


def disk_effects(before: Guest, after: Guest, rules: ComputeRules) -> tuple[Effect, ...]:
    """Return each disk's bus and name at the next power-on, without and with the change.

    A volume of an offloaded server may get its bus from the libosinfo of the host that it comes to.
    Raises UnsupportedBus or TooManyDisks where Nova could not start the changed guest; a bus
    property for which it could not start the guest before does not count, and is put right here.
    """
    new = {_key(disk): disk for disk in _disks_after(before, after, rules)}
    old = {_key(disk): disk for disk in _disks_or_none(before, rules)}
    labels = {key: _label(disk) for key, disk in (new | old).items()}
    not_yet, still_not = _undecided(before), _undecided(after)
    volumes = (not_yet | still_not).items()
    labels |= {key: f"volume {volume}" for key, volume in volumes}
    return tuple(
        Effect(labels[key], _text(key, old, not_yet), _text(key, new, still_not))
        for key in dict.fromkeys((*old, *new))
    )


def _undecided(guest: Guest) -> dict[object, str | None]:
    """Return the volumes that get their bus from libosinfo at the unshelve, by their rows.

    Source: nova/virt/osinfo.py, HardwareProperties.disk_model.
    """
    if property_value(guest, "hw_disk_bus") or not property_value(guest, "os_distro"):
        return {}
    return {row.id: row.volume_id for row in guest.block_devices if is_unnamed(row, guest)}


def _disks_after(before: Guest, after: Guest, rules: ComputeRules) -> tuple[GuestDisk, ...]:
    _, known = without_refused_buses(before, rules)
    readable, refused = without_refused_buses(after, rules)
    brings_none = refused.items() <= known.items()
    return guest_disks(readable if brings_none else after, rules)


def _disks_or_none(guest: Guest, rules: ComputeRules) -> tuple[GuestDisk, ...]:
    """Return the guest's disks; none where Nova could not start it as it is."""
    try:
        return guest_disks(guest, rules)
    except ValueError:
        return ()


def _key(disk: GuestDisk) -> object:
    return disk.name if disk.block_device is None else disk.block_device


def _label(disk: GuestDisk) -> str:
    """Return what the disk is called: ``root disk``, ``volume vdb``, ``disk.config cdrom``."""
    if disk.name in ("root", "disk"):
        return f"root {disk.type}"
    if disk.name.startswith("/dev/"):
        return f"volume {disk.dev}" if disk.type == "disk" else f"volume {disk.dev} {disk.type}"
    return f"{disk.name} {disk.type}"


def _text(
    key: object, disks: Mapping[object, GuestDisk], undecided: Mapping[object, str | None]
) -> str | None:
    if key in undecided:
        return "decided at the power-on"
    disk = disks.get(key)
    return None if disk is None else f"{disk.bus} {disk.dev}"


def futile(
    facts: Facts,
    after: Guest,
    values: Mapping[str, Value],
    effects: tuple[Effect, ...],
    device_types: Mapping[str, str],
) -> tuple[str, ...]:
    """Return why properties of VALUES that are new would change nothing for the guest."""
    return tuple(_futile(facts, after, values, effects, device_types))


def _futile(
    facts: Facts,
    after: Guest,
    values: Mapping[str, Value],
    effects: tuple[Effect, ...],
    device_types: Mapping[str, str],
) -> Iterator[str]:
    """Only what changes in the cell counts, and a value that Nova can read again is an effect."""
    stored = facts.guest.image_properties
    mended = unreadable(stored, facts.release)
    moves = any(effect.before != effect.after for effect in effects)
    for name, value in values.items():
        if not isinstance(value, str) or stored.get(name) == value or name in mended:
            continue
        if name in NO_EFFECT:
            yield f"{name}: {NO_EFFECT[name]}"
        elif name not in device_types:
            yield from _unread(name, after)
        elif not moves and not _is_there(device_types[name], value, effects):
            yield _unmoved(name, value, device_types[name], effects)


def mended_without_moving(
    facts: Facts,
    values: Mapping[str, Value],
    effects: tuple[Effect, ...],
    device_types: Mapping[str, str],
) -> Iterator[str]:
    """Yield which of VALUES replace one that Nova could not read, with no disk on that bus."""
    for name in unreadable(facts.guest.image_properties, facts.release):
        value, kind = values.get(name), device_types.get(name)
        if isinstance(value, str) and kind and not _is_there(kind, value, effects):
            yield _unmoved(name, value, kind, effects)


def _unmoved(name: str, value: str, device_type: str, effects: tuple[Effect, ...]) -> str:
    """Return why no disk of this type moves: there is none, or each has a bus of its own."""
    there = [effect.what for effect in effects if effect.after is not None]
    if device_type not in map(_type_in, there):
        luns = [what for what in there if _type_in(what) == "lun"]
        more = f" but {', '.join(luns)}, and a LUN never moves" if luns else ""
        return f"{name}={value} moves no disk: the server has no {device_type}{more}"
    later = ". Nova goes by it only for volumes that are attached later" * (device_type == "disk")
    return (
        f"{name}={value} moves no {device_type}: each keeps the bus in its block_device_mapping "
        f"row (--update-disks selects which rows move){later}"
    )


def _unread(name: str, after: Guest) -> Iterator[str]:
    if name == "hw_pointer_model" and after.image_properties.get("hw_input_bus"):
        yield "Nova ignores hw_pointer_model when hw_input_bus is stored"


def _is_there(device_type: str, bus: str, effects: tuple[Effect, ...]) -> bool:
    """Whether a disk of this type is on BUS already: then the value will be the truth again."""
    return any(
        _type_in(effect.what) == device_type and str(effect.after).partition(" ")[0] == bus
        for effect in effects
    )


def _type_in(label: str) -> str:
    """Return the type of disk in a label; that of a volume is left out where it is "disk"."""
    last = label.rpartition(" ")[2]
    return last if last in ("cdrom", "floppy", "lun") else "disk"


def notes(facts: Facts, values: Mapping[str, Value]) -> Iterator[str]:
    """Yield what the operator has to know in addition to the changes."""
    instance, spec = facts.instance, facts.spec
    yield from unreadable_notes(facts, values)
    if facts.leaves_spec:
        yield (
            "the request spec is not changed: a resize or cold migration builds the guest "
            "from its old values"
        )
    elif spec is not None and spec.image_properties is None:
        yield NO_IMAGE
    if instance.vm_state in _SHELVED and instance.is_image_backed and values:
        yield _about_snapshot(instance, values)


def unreadable_notes(facts: Facts, values: Mapping[str, Value]) -> Iterator[str]:
    """Yield what its host's Nova cannot read when VALUES are stored, and the command for it."""
    instance = facts.instance
    left = {**instance.image_properties, **values}
    reasons = unreadable(left, facts.release)
    if reasons:
        yield (
            "Nova cannot read any property of this server, and cannot start it, because of "
            f"{', '.join(f'{name}={left[name]}' for name in reasons)}. To remove such values: "
            f"novadev image-property unset --unreadable {instance.uuid}"
        )


def _about_snapshot(instance: Instance, values: Mapping[str, Value]) -> str:
    """Say how the change reaches an instance that is unshelved from its snapshot.

    Source: ``nova/compute/manager.py`` ``_unshelve_instance`` builds the domain from the
    snapshot's properties; only a server that is not yet offloaded is powered on from its own.
    """
    snapshot = instance.shelved_image_id or "SNAPSHOT"
    done = [
        f"--property {name}={value}" for name, value in values.items() if isinstance(value, str)
    ]
    gone = [f"--property {name}" for name, value in values.items() if not isinstance(value, str)]
    lines = [f"openstack image set {' '.join(done)} {snapshot}"] if done else []
    lines += [f"openstack image unset {' '.join(gone)} {snapshot}"] if gone else []
    when = "it" if instance.vm_state == "shelved_offloaded" else "once offloaded, it"
    return (
        f"{when} is unshelved with the properties of its Glance snapshot {snapshot} "
        f"and not with these. To complete the change, run: {'; '.join(lines)}"
    )
