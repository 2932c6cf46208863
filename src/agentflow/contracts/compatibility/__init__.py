"""What changed between two sets of contracts, and whom it breaks."""

from agentflow.contracts.compatibility.change import ContractDifference, Impact
from agentflow.contracts.compatibility.diff import breaking, diff

__all__ = ["ContractDifference", "Impact", "breaking", "diff"]
