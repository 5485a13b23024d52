"""The facts of a machine, read from a tree of files as the kernel and the distribution write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderless.daemon.hardware import COLUMNS, read_facts

_FILES = {
    "etc/os-release": 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nNAME="later"\n# a comment\n',
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD Ryzen 7\n\nmodel name\t: another\n",
    "proc/meminfo": "MemTotal:       16384 kB\nMemFree:        1 kB\n",
    "sys/class/dmi/id/product_name": "ThinkPad X1\n",
    "sys/class/dmi/id/chassis_type": "10\n",
}


def _machine(root: Path, **changed: str) -> Path:
    for name, text in {**_FILES, **changed}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_is_described_as_its_files_say(tmp_path: Path) -> None:
    """System, model, form, processor and memory are read where Linux keeps them."""
    facts = read_facts(_machine(tmp_path))
    assert facts.pop("cpu_cores") >= 1
    assert facts == {
        "os": "Debian GNU/Linux",
        "os_version": "12",
        "hardware_model": "ThinkPad X1",
        "form_factor": "laptop",
        "cpu_model": "AMD Ryzen 7",
        "memory_total_bytes": 16_384 * 1024,
    }


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    """A machine that shows nothing of itself is still a Linux with a kernel version."""
    facts = read_facts(tmp_path)
    assert facts["os"] == "Linux"
    assert facts["os_version"]
    unknown = ("hardware_model", "form_factor", "cpu_model", "memory_total_bytes")
    assert [facts[name] for name in unknown] == [None] * 4


@pytest.mark.parametrize(
    ("chassis", "form"),
    [("3", "desktop"), ("17", "server"), ("31", "laptop"), ("1", None), ("", None), ("x", None)],
)
def test_a_chassis_is_named_as_people_do(tmp_path: Path, chassis: str, form: str | None) -> None:
    """Numbers that tell nothing give no form."""
    machine = _machine(tmp_path, **{"sys/class/dmi/id/chassis_type": chassis})
    assert read_facts(machine)["form_factor"] == form


def test_quotes_of_either_kind_are_no_part_of_a_name(tmp_path: Path) -> None:
    """os-release may quote as a shell does."""
    machine = _machine(tmp_path, **{"etc/os-release": "NAME='Arch Linux'\nVERSION_ID=1\n"})
    assert read_facts(machine)["os"] == "Arch Linux"


def test_memory_that_is_no_number_is_unknown(tmp_path: Path) -> None:
    """A line of another shape is not guessed at."""
    machine = _machine(tmp_path, **{"proc/meminfo": "MemTotal: much\n"})
    assert read_facts(machine)["memory_total_bytes"] is None


def test_bytes_that_are_no_text_are_shown_in_part(tmp_path: Path) -> None:
    """A vendor's odd bytes do not keep the device from starting."""
    _machine(tmp_path)
    (tmp_path / "sys/class/dmi/id/product_name").write_bytes(b"Box \xff\n")
    assert read_facts(tmp_path)["hardware_model"] == "Box \ufffd"


def test_every_fact_is_a_column_of_the_device_row(tmp_path: Path) -> None:
    """What is read here and what is told elsewhere make the whole row."""
    elsewhere = {"uuid", "name", "software_version", "addresses"}
    assert set(read_facts(tmp_path)) | elsewhere == set(COLUMNS)
