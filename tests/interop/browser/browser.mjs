// Chromium as a client: JSON lines in, one answer line each out (tests/interop/src/peer.rs).
//
// RINGWAY_CLIENTS is the folder where tests/need has put the packages of package-lock.json.
// Arguments are further Chromium flags.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const packages = `${process.env.RINGWAY_CLIENTS}/browser/node_modules/`;
const { chromium } = createRequire(packages)('playwright-core');

const FLAGS = [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  // Where there is no outside, looking for it only costs time.
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
  '--no-sandbox',
];

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

const browser = await chromium.launch({
  executablePath: process.env.RINGWAY_CHROMIUM,
  args: [...FLAGS, ...process.argv.slice(2)],
});

const tabs = new Map();

async function open(name, { url = home } = {}) {
  // A context each: none is a background tab of another, which would not play its video.
  const context = await browser.newContext({
    permissions: ['camera', 'microphone'],
    viewport: { width: 1400, height: 900 },
  });
  const page = await context.newPage();
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(new URL(socket.url()).pathname));
  page.on('console', (message) => console.error(`${name}: ${message.text()}`));
  page.on('pageerror', (error) => console.error(`${name}: ${error.stack}`));
  await page.goto(url);
  if (url === home) await page.waitForFunction(() => window.tab);
  tabs.set(name, { context, page, sockets });
}

// What is asked of the tab itself; everything else is a function of its page.
const own = {
  sockets: ({ sockets }) => sockets,
  click: ({ page }, { selector }) => page.click(selector),
  text: ({ page }, { selector }) => page.textContent(selector),
  evaluate: ({ page }, { script }) => page.evaluate(script),
  screenshot: async ({ page }, { file }) => { await page.screenshot({ path: file }); },
  close: ({ context }) => context.close(),
};

async function answer({ tab: name, call, with: details }) {
  if (call === 'open') return open(name, details);
  const tab = tabs.get(name);
  if (own[call]) return own[call](tab, details);
  return tab.page.evaluate(([call, details]) => window.tab[call](details), [call, details]);
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
