"""What brings a workspace's SQL schema from one format to the next: one module a step, run by `migration`.

Each module has Alembic's `revision`, `down_revision` (the step before it) and `upgrade`; nobody goes back.
Names need no schema: the connection's search path says which.
"""
