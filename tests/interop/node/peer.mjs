// JSON lines in, one answer line each out: how a client is asked (tests/interop/src/peer.rs).

import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

// Libraries print what they like; only answers may reach the other side. This must come before
// they are loaded.
Object.defineProperty(process, 'stdout', { value: process.stderr });
console.log = console.error;

/** Answers until standard input ends. `calls` are functions by name, plain or async. */
export async function serve(calls) {
  for await (const line of createInterface({ input: process.stdin })) {
    const question = JSON.parse(line);
    const answer = await Promise.resolve(question.with).then(calls[question.call]).then(
      (result) => ({ result: result ?? null }),
      (error) => ({ error: String(error?.stack ?? error) }),
    );
    writeSync(1, `${JSON.stringify(answer)}\n`);
  }
  // Threads of native libraries would keep the process.
  process.exit(0);
}
