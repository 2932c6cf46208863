"""What every test of the repository has in common."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes is the machine's business: on a loaded one it says nothing of the code.
settings.register_profile("agentflow", deadline=None)
settings.load_profile("agentflow")
