"""Launching a run on a cluster: container image, Slurm, KubeRay, SkyPilot. `docs/cluster.md` explains how."""
