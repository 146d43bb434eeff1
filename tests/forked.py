#!/usr/bin/env -S python3 -IS
"""Python that has its libraries already: commands, and the jobs that Snakemake starts, run in forks of it.

Most of the time of a small job goes into imports. A server, one for each process of pytest, imports what
jobs need, once; `run` asks it for a fork that runs a command. Forks that run Snakemake take this file for
Python, and it asks the same server. Tests of imports and of kills, and slow ones, start Python anew.
"""

import atexit
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

ADDRESS = "FATEWALK_TESTS_FORKED"  # environment variable: socket of the server


# ------------------------------------------------------------------ whoever asks


def ask(address, words, cwd, env, streams):
    """Have ``python WORDS`` run with the given standard streams; the connection, and the process."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    request = json.dumps([words, str(cwd), dict(env)]).encode()
    socket.send_fds(connection, [struct.pack("Q", len(request))], streams)
    connection.sendall(request)
    return connection, struct.unpack("q", connection.recv(8))[0]


def run(words, cwd, env=None, timeout=500):
    """``subprocess.run`` of ``python WORDS``, in a fork; stdout and stderr are kept, as text."""
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        Path(os.devnull).open() as none,
    ):
        words = [str(word) for word in words]
        streams = [none.fileno(), out.fileno(), err.fileno()]
        connection, process = ask(_server(), words, cwd, os.environ if env is None else env, streams)
        with connection:
            connection.settimeout(timeout)
            try:
                code = struct.unpack("q", connection.recv(8))[0]
            except TimeoutError as error:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(words, timeout) from error
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


_STARTED = []


def _server():
    """Address of the server of this process, started where there is none."""
    if not _STARTED:
        folder = tempfile.TemporaryDirectory(prefix="forked")
        address = f"{folder.name}/socket"
        command = [sys.executable, __file__, "serve", address]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdout.readline() == b"ready\n"
        _STARTED.extend([address, folder, server])  # it ends when its stdin does, with this process
    return _STARTED[0]


def as_python():
    """What a fork of Snakemake takes for Python: pass on the words, signals and the return code."""
    connection, process = ask(os.environ[ADDRESS], sys.argv[1:], Path.cwd(), os.environ, [0, 1, 2])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(process, number))
    sys.exit(struct.unpack("q", connection.recv(8))[0] % 256)


# ------------------------------------------------------------------ the server


def serve(address):
    """Import what jobs need; then fork for each that asks, until stdin ends."""
    import snakemake.cli  # noqa: F401

    import fatewalk.cli
    import fatewalk.stages

    for package in (fatewalk.cli, fatewalk.stages):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that attend
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                os._exit(attend(connection, address))
            connection.close()


def attend(connection, address):
    """Fork what was asked for, tell its number and, when it has ended, its return code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    left, request = struct.unpack("Q", head)[0], b""
    while len(request) < left:
        request += connection.recv(left - len(request))
    process = os.fork()
    if process == 0:
        connection.close()
        os._exit(work(*json.loads(request), streams, address))
    connection.sendall(struct.pack("q", process))
    connection.sendall(struct.pack("q", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])))
    return 0


def work(words, cwd, env, streams, address):
    """Be ``python WORDS``; its return code."""
    for stream, kept in enumerate(streams):
        os.dup2(kept, stream)
        os.close(kept)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env | {ADDRESS: address})
    code = 1
    try:
        if words[0] == "-m":
            sys.argv, sys.path[0] = words[1:], cwd
            if words[1].split(".")[0] in ("snakemake", "fatewalk"):
                sys.executable = __file__
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = words, str(Path(words[0]).resolve().parent)
            runpy.run_path(words[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  as Python ends
        traceback.print_exc()
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code % 256


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        as_python()
