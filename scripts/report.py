"""The report of a run, or of two side by side: one HTML file that needs no server and no network.

python -m scripts.report runs/demo [runs/other] [--out page.html]
"""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line import as_written, new_app, run

app = new_app()


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder; the run may be active")],
    other: Annotated[Path | None, typer.Argument(metavar="RUN2", help="a second run to compare with")] = None,
    out: Annotated[Path | None, typer.Option(help="default: report.html in the run folder")] = None,
) -> None:
    """Write the page and print where it is."""
    from rnr.runs.report.page import write_report

    with redirect_stdout(sys.stderr):  # messages about the data
        file = write_report(folder.resolve(), other=None if other is None else other.resolve(), out=out)
    size = file.stat().st_size
    print(f"{file} ({f'{size / 1e6:.1f} MB' if size >= 1e6 else f'{size / 1e3:.0f} kB'})")


def write_page(folder: Path) -> None:
    """Write the page of a run that has just ended, in any way; an error here is reported and does not fail the run."""
    from rnr.runs.report.page import write_report

    if not (folder / "config.json").is_file():
        return
    try:
        with redirect_stdout(sys.stderr):
            file = write_report(folder)
    except Exception as error:  # whatever it is, the run's own result stands
        print(f"could not write report.html: {type(error).__name__}: {error}", file=sys.stderr)
        return
    print(f"report: {file}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
