"""Does a layer keep the laws that all layers keep? A suite to run on any layer, in both worlds, with pytest or without.

    @pytest.mark.parametrize("check", contract(MyLayer()), ids=str)
    def test_my_layer_keeps_the_contract(check):
        check()

Needs only the standard library. No check waits for time to pass: calls run on a VirtualClock.
"""

from .contract import Check, ContractBroken, contract

__all__ = ["Check", "ContractBroken", "contract"]
