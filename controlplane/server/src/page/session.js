// One session of WHIP or WHEP, and the line that keeps one up.

/** Lines of the first section of the local description that a trickled fragment repeats. */
function fragmentOf(connection) {
  const lines = connection.localDescription.sdp.split('\r\n');
  const media = lines.filter((line) => line.startsWith('m='));
  const pick = (start) => lines.find((line) => line.startsWith(start));
  const candidates = lines.filter((line) => line.startsWith('a=candidate:'));
  const kept = [pick('a=ice-ufrag:'), pick('a=ice-pwd:'), media[0], pick('a=mid:')];
  return `${[...kept, ...new Set(candidates), 'a=end-of-candidates'].join('\r\n')}\r\n`;
}

class Session {
  constructor(path, token, prepare) {
    this.path = path;
    this.token = token;
    this.connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    prepare(this.connection);
  }

  /** Resolves when media can flow. */
  async open() {
    const { connection } = this;
    const gathered = new Promise((done) => {
      connection.onicecandidate = ({ candidate }) => { if (!candidate) done(); };
    });
    await connection.setLocalDescription();
    const answer = await request('POST', this.path, {
      headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${this.token}` },
      body: connection.localDescription.sdp,
    });
    this.url = new URL(answer.headers.get('Location'), answer.url).href;
    this.etag = answer.headers.get('ETag');
    const sdp = await answer.text();
    try {
      await connection.setRemoteDescription({ type: 'answer', sdp });
    } catch (error) {
      throw new Refusal(`This browser does not understand the server's answer: ${error.message}`);
    }
    gathered.then(() => this.trickle());
    await this.connected();
  }

  trickle() {
    if (!this.url || this.connection.signalingState === 'closed') return;
    const headers = {
      'Content-Type': 'application/trickle-ice-sdpfrag',
      Authorization: `Bearer ${this.token}`,
      'If-Match': this.etag,
    };
    const body = fragmentOf(this.connection);
    // A server that learns our addresses from our checks needs none of this.
    fetch(this.url, { method: 'PATCH', headers, body }).catch(() => {});
  }

  connected() {
    const { connection } = this;
    return new Promise((done, fail) => {
      const judge = () => {
        if (connection.connectionState === 'connected') done();
        if (['failed', 'closed'].includes(connection.connectionState)) {
          fail(new Problem('No media connection: this browser cannot reach the media ports of '
            + 'the server. A firewall or an address that only the server knows is the reason, '
            + 'mostly.'));
        }
      };
      connection.addEventListener('connectionstatechange', judge);
      setTimeout(() => fail(new Problem('The media connection did not come about in time. Does a '
        + 'firewall keep media away from the server?')), CONNECT_MS);
      judge();
    });
  }

  /** Resolves when media can flow no more: the transport knows as soon as the server hangs up. */
  broken() {
    const { connection } = this;
    const [first] = connection.getTransceivers();
    const transport = first?.sender.transport ?? first?.receiver.transport;
    return new Promise((done) => {
      const judge = () => {
        const states = [connection.connectionState, transport?.state];
        if (states.some((state) => state === 'failed' || state === 'closed')) done();
      };
      connection.addEventListener('connectionstatechange', judge);
      transport?.addEventListener('statechange', judge);
      judge();
    });
  }

  /** The protocol's end comes first: what is hung up is a session that is not there any more. */
  close() {
    const { url, connection } = this;
    this.url = null;
    if (!url) {
      connection.close();
      return;
    }
    const headers = { Authorization: `Bearer ${this.token}` };
    // It must outlive a page that is closed.
    const told = fetch(url, { method: 'DELETE', headers, keepalive: true });
    told.catch(() => {}).finally(() => connection.close());
  }
}

/** Keeps a session of one direction up until it is told to stop. */
class Line {
  constructor(direction, form, prepare, tell) {
    Object.assign(this, { direction, form, prepare, tell });
    Object.assign(this, { stopped: false, session: null, pauseMs: RETRY_FIRST_MS });
    this.run();
  }

  async run() {
    const path = this.direction === 'publish' ? '/whip/v1' : '/whep/v1';
    while (!this.stopped) {
      this.tell('connecting', null);
      try {
        const token = await tokenFor(this.direction, this.form);
        if (this.stopped) return;
        this.session = new Session(path, token, this.prepare);
        await this.keep(this.session);
      } catch (error) {
        if (this.stopped) return;
        if (!(error instanceof Problem) || error instanceof Refusal) {
          this.tell('failed', error);
          return;
        }
        this.tell('connecting', error);
      }
      this.session = null;
      await sleep(this.pauseMs);
      this.pauseMs = Math.min(this.pauseMs * 2, RETRY_LAST_MS);
    }
  }

  /** Resolves or throws when the session is over, and leaves nothing of it. */
  async keep(session) {
    try {
      await session.open();
      if (this.stopped) return;
      this.pauseMs = RETRY_FIRST_MS;
      this.tell('connected', null);
      await session.broken();
      if (!this.stopped) throw new Problem('The connection broke. Connecting again.');
    } finally {
      session.close();
    }
  }

  stop() {
    this.stopped = true;
    this.session?.close();
    this.session = null;
  }
}
