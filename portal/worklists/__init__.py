"""Who sees which worklists, and whose AE title is whose: what `portal.policy` goes by."""
