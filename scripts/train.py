"""Train: SFT warm start -> GRPO -> evaluation -> export.

python -m scripts.train --config scripts/configs/demo.toml [--resume] [--dry-run] [--section.key=value ...]
"""

import argparse
import asyncio
import sys

from rnr.cli import load_config


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="a TOML file; see scripts/configs")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the run folder")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and check resources, start nothing")
    options, overrides = parser.parse_known_args(argv)
    try:
        config = load_config(options.config, overrides)
        if options.dry_run:
            from cluster.dry_run import dry_run

            dry_run(config, resume=options.resume)
            return 0
        from cluster.ready import get_ready

        ready = get_ready(config, resume=options.resume)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        from cluster.run import run

        asyncio.run(run(config, ready))
    except ExceptionGroup as group:
        from cluster.controller import causes

        found = causes(group)
        print(f"error: {type(found[0]).__name__}: {found[0]}", file=sys.stderr)
        if not all(isinstance(cause, RuntimeError) for cause in found):
            raise  # a bug: whoever mends it wants the traceback
        return 1
    except KeyboardInterrupt:
        print("stopped; go on with --resume", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
