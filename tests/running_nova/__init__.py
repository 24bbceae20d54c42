"""What novadev says, compared with what a running Nova then does: through its API alone.

The cloud is that of `make cloud`, started once, or the one that already runs. These tests are left
out unless NOVADEV_CLOUD is set, as `tools/cloud-test` does.
"""
