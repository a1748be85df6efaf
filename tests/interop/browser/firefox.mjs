// The Firefox of the system with fake devices, driven by WebDriver BiDi. (Playwright wants a
// Firefox of its own build.)

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Connection, Window } from './bidi.mjs';

const PREFERENCES = {
  'media.navigator.permission.disabled': true,
  'media.navigator.streams.fake': true,
  // Sound plays although nobody has clicked.
  'media.autoplay.blocking_policy': 0,
  'media.autoplay.default': 0,
  // A sound card for machines without one: otherwise no AudioContext would ever run.
  'media.cubeb.force_mock_context': true,
  // Candidates say addresses, not names that only multicast DNS would know.
  'media.peerconnection.ice.obfuscate_host_addresses': false,
};

/** Starts the program with further flags. It is of the process group of this one, and ends so. */
export async function launch(packages, program, flags) {
  const profile = await mkdtemp(join(tmpdir(), 'firefox-'));
  const lines = Object.entries(PREFERENCES).map(([name, value]) =>
    `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`);
  await writeFile(join(profile, 'user.js'), lines);
  const own = ['--headless', '--no-remote', '--remote-debugging-port=0', '--profile', profile];
  const child = spawn(program, [...own, ...flags], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  const connection = await Connection.open(await addressOf(child));
  return {
    open: (url, log) => open(connection, url, log),
    close: async () => {
      await connection.send('browser.close', {});
      await ended;
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** What it says where it listens. */
async function addressOf(child) {
  const lines = createInterface({ input: child.stderr });
  const address = await new Promise((done, fail) => {
    lines.on('line', (line) => {
      console.error(line);
      const [, found] = /WebDriver BiDi listening on (ws:\S+)/.exec(line) ?? [];
      if (found) done(found);
    });
    lines.on('close', () => fail(new Error('Firefox ended before it listened')));
  });
  return address;
}

async function open(connection, url, log) {
  const window = await Window.open(connection, url, log);
  return {
    evaluate: (script) => window.evaluate(script),
    click: (selector) => window.click(selector),
    screenshot: async (path) => writeFile(path, await window.picture()),
    close: () => window.close(),
  };
}
