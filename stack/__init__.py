"""Real services of the stream path on this machine, without containers: for tests, benches, demo.

Not shipped. `python -m stack up` starts them all; `stack.services` starts one for a `with` block.
"""
