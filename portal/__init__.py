"""A small but real host: it shows how a portal wires ``upsrs`` in, and runs the demo."""
