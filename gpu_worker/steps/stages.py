"""The order of the stages: a step runs when every step of the stages before it is done."""

from __future__ import annotations

PROBE = 0
PARSE = 1
READ = 2
RELATE = 3
SEGMENT = 4
EMBED = 5
WRITE = 6
