"""Plans that make the request spec say what the cell stores: nothing changes for the guest."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.errors import BadInput, NotFound, NovadevError
from novadev.image_property.readability import release_guard
from novadev.image_property.states import check_at_rest
from novadev.image_property.sync import ACTION
from novadev.image_property.sync.differences import check_stored, differences
from novadev.image_property.traits import traits_note
from novadev.nova.instances import Instance
from novadev.nova.request_specs import RequestSpec, list_request_specs
from novadev.runs.plan import SOURCE, Plan, Planned, Skip
from novadev.selection import Chunk, Selection, iter_selected, of_chunks

CELL = "cell"
"""The source of a plan's values, which the writer compares with them once more."""


def plan_sync(deployment: Deployment, selection: Selection) -> Iterator[Planned]:
    """Return plans that make the request specs of the selected instances say what is stored.

    One for each instance, in any state at rest. What stands against one is a Skip. Raises BadInput
    for a folder of compute hosts that cannot be read.
    """
    releases = ServerReleases(deployment, ComputeHosts(deployment.config))
    named = selection.is_named

    def plans(chunk: Chunk) -> Iterator[Planned]:
        return _in_chunk(deployment, chunk, named, releases)

    return of_chunks(iter_selected(deployment, selection), plans, named)


def _in_chunk(
    deployment: Deployment, chunk: Chunk, named: bool, releases: ServerReleases
) -> Iterator[Planned]:
    is_prefiltered = deployment.config.image_metadata_prefilter
    with deployment.api.reading() as connection:
        specs = list_request_specs(connection, [instance.uuid for instance in chunk.instances])
    for instance in chunk.instances:
        try:
            release = releases.of(instance)
            plan = _plan(instance, specs.get(instance.uuid), release, is_prefiltered)
        except NovadevError as error:
            yield Skip.of(instance.uuid, error, named)
        else:
            text = (
                f"nothing to do for instance {instance.uuid}: its request spec has the same "
                "values already"
            )
            yield plan or Skip(instance.uuid, text, 0, named)


def _plan(
    instance: Instance, spec: RequestSpec | None, release: int, is_prefiltered: bool
) -> Plan | None:
    """Return the plan for one instance, None where its spec says what the cell stores."""
    check_at_rest(instance)
    if spec is None:
        raise NotFound(
            f"instance {instance.uuid} has no request spec in the API database: sync cannot create "
            "one"
        )
    try:
        check_stored(instance.image_properties, release)
        changes = differences(instance.image_properties, spec, instance.image_ref)
    except BadInput:
        raise
    except NovadevError as error:
        raise type(error)(f"instance {instance.uuid}: {error}") from None
    if not changes:
        return None
    about_traits = traits_note(changes)
    stored = {item.place.name: item.after for item in changes}
    return Plan(
        action=ACTION,
        instance=instance.uuid,
        cell=instance.cell,
        changes=changes,
        name=instance.name,
        host=instance.host,
        notes=(about_traits,) if is_prefiltered and about_traits else (),
        guard={SOURCE: CELL, **release_guard(stored, release)},
    )
