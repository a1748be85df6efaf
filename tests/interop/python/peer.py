"""JSON lines in, one answer line each out: how a client is asked (tests/interop/src/peer.rs)."""

import asyncio
import inspect
import json
import os
import sys
import traceback


async def serve(calls):
    """Answers until standard input ends. `calls` are functions by name, plain or async."""
    # Libraries print what they like; only answers may reach the other side.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        question = json.loads(line)
        try:
            result = calls[question["call"]](**question["with"])
            if inspect.isawaitable(result):
                result = await result
            answer = {"result": result}
        except Exception:  # whatever it is, the test shall read it
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers)
    # Threads of native libraries would keep the process.
    os._exit(0)
