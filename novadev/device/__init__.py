"""The devices of guests, as Nova, libvirt and the guest see them."""
