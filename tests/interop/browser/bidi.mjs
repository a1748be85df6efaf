// WebDriver BiDi (w3.org/TR/webdriver-bidi), as much of it as tests need: no package that speaks
// it to a Firefox as distributions have it is small.
//
// Needs Node's own WebSocket: version 22, or 20 with --experimental-websocket.

/** A connection to a browser: commands with their answers, and events. */
export class Connection {
  #socket;
  #last = 0;
  #waiting = new Map();
  #listeners = [];

  constructor(socket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onclose = () => {
      for (const { fail } of this.#waiting.values()) fail(new Error('the browser hung up'));
      this.#waiting.clear();
    };
  }

  /** Connects and starts a session. */
  static async open(url) {
    const socket = new WebSocket(`${url}/session`);
    await new Promise((done, fail) => {
      socket.onopen = done;
      socket.onerror = () => fail(new Error(`no connection to ${url}`));
    });
    const connection = new Connection(socket);
    await connection.send('session.new', { capabilities: {} });
    return connection;
  }

  /** Sends a command; resolves to its result. */
  send(method, params) {
    this.#last += 1;
    const id = this.#last;
    return new Promise((done, fail) => {
      this.#waiting.set(id, { method, done, fail });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** Has `listener` called with the parameters of every event of this name. */
  async on(method, listener) {
    this.#listeners.push({ method, listener });
    await this.send('session.subscribe', { events: [method] });
  }

  #hear({ id, type, method, params, result, error, message }) {
    if (type === 'event') {
      const right = this.#listeners.filter((one) => one.method === method);
      right.forEach(({ listener }) => listener(params));
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (type === 'success') waiting?.done(result);
    else waiting?.fail(new Error(`${waiting.method}: ${error}: ${message}`));
  }
}

/** One window of the browser. */
export class Window {
  #connection;
  #context;

  constructor(connection, context) {
    this.#connection = connection;
    this.#context = context;
  }

  /** Opens a page, and resolves when it is loaded with all its scripts. */
  static async open(connection, url, log) {
    const { context } = await connection.send('browsingContext.create', { type: 'window' });
    await connection.on('log.entryAdded', ({ source, text }) => {
      if (source.context === context) log(text);
    });
    const window = new Window(connection, context);
    await window.#send('browsingContext.setViewport', { viewport: { width: 1400, height: 900 } });
    await window.#send('browsingContext.navigate', { url, wait: 'complete' });
    return window;
  }

  #send(method, params) {
    return this.#connection.send(method, { context: this.#context, ...params });
  }

  /** What an expression results in, by way of JSON. */
  async evaluate(script) {
    const { type, result, exceptionDetails } = await this.#connection.send('script.evaluate', {
      expression: `(async () => JSON.stringify(await (${script})))()`,
      target: { context: this.#context },
      awaitPromise: true,
      userActivation: true,
    });
    if (type === 'exception') throw new Error(exceptionDetails.text);
    return result.type === 'string' ? JSON.parse(result.value) : null;
  }

  /** Clicks with a mouse. */
  async click(selector) {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).scrollIntoView()`);
    const locator = { type: 'css', value: selector };
    const { nodes: [{ sharedId }] } = await this.#send('browsingContext.locateNodes', { locator });
    const origin = { type: 'element', element: { sharedId } };
    const actions = [
      { type: 'pointerMove', x: 0, y: 0, origin },
      { type: 'pointerDown', button: 0 },
      { type: 'pointerUp', button: 0 },
    ];
    const mouse = { type: 'pointer', id: 'mouse', actions };
    await this.#send('input.performActions', { actions: [mouse] });
  }

  /** The picture of it, as PNG. */
  async picture() {
    const { data } = await this.#send('browsingContext.captureScreenshot', {});
    return Buffer.from(data, 'base64');
  }

  close() {
    return this.#send('browsingContext.close', {});
  }
}
