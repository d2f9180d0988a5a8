"""The service as alice and bob see it, as for the tests of REST."""

from tests.rest.conftest import bobs_worklist, worklist

__all__ = ["bobs_worklist", "worklist"]
