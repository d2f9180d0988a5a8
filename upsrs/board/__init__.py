"""The live worklist as a page. A portal mounts it: ``path("board/", include("upsrs.board.urls"))``.

To dress it, a portal puts a template ``upsrs/board/base.html`` of its own before the app's.
"""
