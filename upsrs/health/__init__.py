"""Is this process alive, and can it serve: for service managers and load balancers.

It needs the extra ``health`` (django-health-check); a portal that has it mounts `upsrs.health.urls`,
or puts the checks of `upsrs.health.checks` among its own.
"""
