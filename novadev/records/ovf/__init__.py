"""An instance's recorded devices as oVirt's OVF, written and read."""
