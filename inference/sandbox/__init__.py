"""Every parser of a user's bytes runs in here: confined children without network, with bounded time and memory."""

from inference.sandbox.confinement import Protections
from inference.sandbox.pool import SandboxPool
from inference.sandbox.process import Allowance
from inference.sandbox.sandbox import FILES_PER_CHILD, Sandbox, allowance_for
from inference.sandbox.staging import staging_sweep

__all__ = ["FILES_PER_CHILD", "Allowance", "Protections", "Sandbox", "SandboxPool", "allowance_for", "staging_sweep"]
