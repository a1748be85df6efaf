// A browser as a client: JSON lines in, one answer line each out (tests/interop/src/peer.rs).
//
// RINGWAY_CLIENTS is the folder where tests/need has put the packages of package-lock.json.
// Arguments: `chromium` or `firefox`, the path of its program, further flags of that program.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const packages = `${process.env.RINGWAY_CLIENTS}/browser/node_modules/`;
const [kind, program, ...flags] = process.argv.slice(2);
const { launch } = await import(`./${kind}.mjs`);

const library = `file://${packages}livekit-client/dist/`;
const FILES = {
  '/': ['page.html', 'text/html'],
  '/call.mjs': ['call.mjs', 'text/javascript'],
  '/media.mjs': ['media.mjs', 'text/javascript'],
  '/whip.mjs': ['whip.mjs', 'text/javascript'],
  '/livekit-client.umd.js': [`${library}livekit-client.umd.js`, 'text/javascript'],
  '/e2ee.worker.mjs': [`${library}livekit-client.e2ee.worker.mjs`, 'text/javascript'],
};

// Cameras and microphones are open to pages of localhost only.
const server = createServer(async (request, response) => {
  const [file, type] = FILES[request.url] ?? [];
  if (!file) return response.writeHead(404).end();
  const body = await readFile(new URL(file, import.meta.url));
  return response.writeHead(200, { 'Content-Type': type }).end(body);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const home = `http://localhost:${server.address().port}/`;

const browser = await launch(packages, program, flags);
const tabs = new Map();

// What is asked of the tab itself; everything else is a function of its page.
const own = {
  click: (tab, { selector }) => tab.click(selector),
  text: (tab, { selector }) =>
    tab.evaluate(`document.querySelector(${JSON.stringify(selector)}).textContent`),
  evaluate: (tab, { script }) => tab.evaluate(script),
  screenshot: async (tab, { file }) => { await tab.screenshot(file); },
  close: (tab) => tab.close(),
};

async function answer({ tab: name, call, with: details }) {
  if (call === 'open') {
    const log = (text) => console.error(`${name}: ${text}`);
    tabs.set(name, await browser.open(details.url ?? home, log));
    return null;
  }
  const tab = tabs.get(name);
  if (own[call]) return own[call](tab, details);
  return tab.evaluate(`window.tab[${JSON.stringify(call)}](${JSON.stringify(details)})`);
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line)).then(
    (result) => ({ result: result ?? null }),
    (error) => ({ error: String(error.stack ?? error) }),
  );
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

await browser.close();
server.close();
