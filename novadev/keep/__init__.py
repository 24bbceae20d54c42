"""Recorded addresses in the definition that Nova is about to give libvirt."""
