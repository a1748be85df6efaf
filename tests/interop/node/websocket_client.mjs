// The unmodified `ws` package as a client of the signalling: what it says and hears in messages, and
// how many bytes that is on the way.

import { createRequire } from 'node:module';
import { connect } from 'node:net';

import { serve } from './peer.mjs';

const { WebSocket } = createRequire(`${process.env.RINGWAY_CLIENTS}/node/node_modules/`)('ws');

let socket;
let connection;
let texts;
let bytes;
let closed;

await serve({
  /** Connects; what the server answers to the offer that `deflate` makes (`perMessageDeflate`). */
  async open({ url, deflate }) {
    [texts, bytes, closed] = [[], 0, null];
    socket = new WebSocket(url, {
      perMessageDeflate: deflate,
      createConnection: (options) => (connection = connect(options)),
    });
    let answer = '';
    socket.on('upgrade', ({ headers }) => (answer = headers['sec-websocket-extensions'] ?? ''));
    socket.on('message', (message, isBinary) => {
      bytes += message.length;
      if (!isBinary) texts.push(String(message));
    });
    socket.on('close', (code) => (closed = code));
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
    // Whatever happens from now on shows in how it ends.
    socket.on('error', () => {});
    return answer;
  },

  /** Says this text and so many spaces; the bytes that it took. */
  async say({ text, spaces }) {
    const before = connection.bytesWritten;
    const said = text + ' '.repeat(spaces);
    await new Promise((resolve, reject) => {
      socket.send(said, (error) => (error ? reject(error) : resolve()));
    });
    return connection.bytesWritten - before;
  },

  /** Messages heard so far in all, those that were text, and how it has ended. */
  heard: () => ({ bytes, wire: connection.bytesRead, texts, closed }),

  close: () => socket.close(),
});
