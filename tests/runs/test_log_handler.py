"""What loggers report in a process of RNR: each line once, where the command has its other lines."""

import logging

import pytest

from rnr.runs.log_handler import PACKAGES, log_to, logged_to
from scripts import startup


def test_lines_go_to_whoever_asked_last_and_errors_to_standard_error(capsys, caplog) -> None:
    said: list[str] = []
    loggers = [logging.getLogger(name) for name in ("rnr.corpus.skipping", "cluster.run")]
    with logged_to(print):
        loggers[0].warning("data: 1 row")
        log_to(said.append)
        loggers[1].info("weight transport: nccl")
        loggers[1].debug("nobody asked")
        loggers[1].error("a worker could not be stopped")
    assert capsys.readouterr() == ("data: 1 row\n", "a worker could not be stopped\n")
    assert said == ["weight transport: nccl"]
    assert caplog.messages == []  # handlers of the root logger, which libraries add, would repeat every line
    loggers[0].info("of a program that imports RNR")
    assert caplog.messages == ["of a program that imports RNR"]


def test_a_terminal_that_takes_no_more_is_an_error_as_it_is_for_print() -> None:
    def full(_text: str) -> None:
        raise OSError(28, "No space left on device")

    with logged_to(full), pytest.raises(OSError, match="No space left"):
        logging.getLogger("rnr").info("a line")


def test_the_packages_that_log_are_those_that_are_imported() -> None:
    assert PACKAGES == startup.PACKAGES
