"""The simulator: many devices in one process, in virtual time, over a network that fails on purpose.

The devices are real (store, registry, entities, sync); clocks, network, disks and chance are ours.
Nothing here is imported by the product. docs/simulator.md says how to use and extend it.
"""
