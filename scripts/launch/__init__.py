"""Starting a run elsewhere: an image, Slurm, KubeRay, SkyPilot. `docs/cluster.md` says how each is used."""
