// Chromium with fake devices, driven by Playwright.

import { createRequire } from 'node:module';

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

/** Starts the program at `executablePath` with further flags. */
export async function launch(packages, executablePath, flags) {
  const { chromium } = createRequire(packages)('playwright-core');
  const browser = await chromium.launch({ executablePath, args: [...FLAGS, ...flags] });
  return { open: (url, log) => open(browser, url, log), close: () => browser.close() };
}

async function open(browser, url, log) {
  // A context each: none is a background tab of another, which would not play its video.
  const context = await browser.newContext({
    permissions: ['camera', 'microphone'],
    viewport: { width: 1400, height: 900 },
  });
  const page = await context.newPage();
  page.on('console', (message) => log(message.text()));
  page.on('pageerror', (error) => log(error.stack));
  await page.goto(url);
  return {
    evaluate: (script) => page.evaluate(script),
    click: (selector) => page.click(selector),
    screenshot: (path) => page.screenshot({ path }),
    close: () => context.close(),
  };
}
