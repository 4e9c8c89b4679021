"""A full disk, a kill, Ctrl-C, a reader that leaves: what was there stays, and the program ends as programs do."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command_line import NETWORK, contents

PROGRAM = Path(sys.executable).with_name("elastic")
PRUNE = f"prune {NETWORK} --weights weights.safetensors --target macs=50% -o out.safetensors --overwrite"

WRITING = {
    "prune": (PRUNE, "out.safetensors"),
    "rebuild": ("rebuild net.safetensors -o out.safetensors --overwrite", "out.safetensors"),
    "state dict": ("export net.safetensors --to state-dict -o out.safetensors --overwrite", "out.safetensors"),
    "sparse": ("export net.safetensors --to sparse -o out.safetensors --overwrite", "out.safetensors"),
    "onnx": ("export net.safetensors --to onnx -o out.onnx --overwrite", "out.onnx"),
    "program": ("export net.safetensors --to torch-export -o out.pt2 --overwrite", "out.pt2"),
}

# Each blocks at its worst moment: the new file is there in part, and has not yet taken its place.
STUCK = {
    "prune": "import elastic.metadata.writer as w; raw = w.raw; w.raw = lambda bits: time.sleep(0.3) or raw(bits)",
    "onnx": "import elastic.exporting as e; e._check_onnx = lambda *_: time.sleep(60)",
}

SLOW_DATA = """
import sys, time
def images(train, transform):
    print("reading", file=sys.stderr, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def small_disk():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))  # Python ignores SIGXFSZ, so that writing just fails
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("command", "output"), WRITING.values(), ids=WRITING)
def test_a_full_disk_leaves_what_was_there(net, elastic, request, tmp_path, command, output):
    Path(output).write_bytes(b"mine")
    before = contents(tmp_path)
    request.getfixturevalue("small_disk")
    done = elastic(command)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].startswith("error: ")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("what", STUCK)
def test_a_killed_process_leaves_what_was_there(net, tmp_path, what):
    command, output = WRITING[what]
    (tmp_path / output).write_bytes(b"mine")
    script = f"import sys, time; {STUCK[what]}; from elastic.cli import main; main({command.split()})"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        while not any(path.stat().st_size for path in tmp_path.glob(".*.partial*")):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / output).read_bytes() == b"mine"
    assert len(list(tmp_path.glob(".*.partial*"))) == 1


def test_what_a_killed_process_left_is_in_nobody_s_way(net, elastic):
    Path(".0123456789abcdef.partial").write_bytes(b"rest")
    assert elastic(PRUNE).code == 0


def test_an_interrupt_ends_with_130_and_one_line(net, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW_DATA)
    process = subprocess.Popen(
        [PROGRAM, *f"{PRUNE} --data slow:images".split()],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a shell ignore interrupts, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stderr.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == "interrupted; no file is left half-written\n"
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert not (tmp_path / "out.safetensors").exists()


def test_an_interrupt_while_writing_removes_what_was_begun(net, elastic, monkeypatch, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = contents(tmp_path)
    monkeypatch.setattr("elastic.metadata.writer.raw", interrupt)
    done = elastic(PRUNE)
    assert done.code == 130
    assert contents(tmp_path) == before


def info(net, tmp_path, **options):
    return subprocess.run(
        [PROGRAM, "info", net], cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options
    )


def test_a_reader_that_left_is_no_error_to_speak_of(net, tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = info(net, tmp_path, stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_stdout_is_as_good_as_none(net, tmp_path):
    done = info(net, tmp_path, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_under_stdout_is_one_line(net, tmp_path):
    with Path("/dev/full").open("w") as full:
        done = info(net, tmp_path, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("arguments", "code"), [("--help", 0), ("info gone", 1), ("trim", 2)], ids=["0", "1", "2"])
def test_the_installed_program_exits_as_it_should(tmp_path, arguments, code):
    done = subprocess.run([PROGRAM, *arguments.split()], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == code


def test_the_installed_program_prunes(net, tmp_path):
    done = subprocess.run(
        [PROGRAM, *PRUNE.split()], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("out.safetensors: 2 levels in ")
    assert done.stderr == "224 units in 6 groups; 2 axes frozen (elastic doctor)\n"


def test_help_comes_without_torch(tmp_path):
    script = (
        "import sys, elastic.cli.app as a; a._run(['--help']); a._run(['prune', '--help']); "
        "sys.exit(bool({'torch', 'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.DEVNULL, check=True, timeout=60)
