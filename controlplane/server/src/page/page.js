// The page: what is typed, pressed and told.

const player = new Player();
const ownMeter = new Meter();
let running = null;

function say(kind, text) {
  const message = $('message');
  message.hidden = !text;
  message.textContent = text ?? '';
  message.className = `message ${kind}`;
}

function badge(element, state) {
  const [text, kind] = {
    connecting: ['connecting', ''],
    connected: ['live', 'good'],
    failed: ['ended', 'bad'],
  }[state];
  element.textContent = text;
  element.className = `badge ${kind}`;
  element.hidden = false;
}

function explain() {
  const line = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const words = running
    ? ['Nobody sends anything yet', 'Who publishes in this room appears here at once.']
    : ['Nothing is played', 'Go live, or only watch: the room appears here.'];
  $('empty').replaceChildren(line('strong', words[0]), line('span', words[1]));
}

function readForm(publishes) {
  if (DEVELOPMENT) {
    return { room: $('room').value.trim(), identity: $('identity').value.trim() };
  }
  const form = { publish: $('publish-token').value.trim(), play: $('play-token').value.trim() };
  if (publishes && !form.publish) throw new Refusal('Paste a token to publish with.');
  if (!publishes && !form.play) throw new Refusal('Paste a token to watch with.');
  const [own, viewer] = [form.publish, form.play].map((token) => (token ? claimsOf(token) : null));
  if (publishes && own.identity === viewer?.identity) {
    throw new Refusal('Both tokens have the same identity: one would send the other away.');
  }
  return { ...form, ...(publishes ? own : viewer) };
}

async function start(publishes) {
  stop();
  say('', null);
  let form;
  try {
    form = readForm(publishes);
  } catch (error) {
    return say('bad', error.message);
  }
  // Disabled inputs say nothing, so this comes before they are.
  const wanted = new FormData($('form')).get('source');
  const run = { lines: [], source: null };
  running = run;
  lock(true);
  $('room-title').textContent = form.room ? `Room ${form.room}` : 'Room';
  explain();
  if (publishes) {
    const source = await openSource(wanted, `${form.identity} in ${form.room}`);
    if (running !== run) return source.stop();
    run.source = source;
    if (source.note) say('info', source.note);
    $('own-title').textContent = form.identity;
    $('preview').srcObject = source.stream;
    $('own').hidden = false;
    const send = (connection) => source.stream.getTracks().forEach((track) => {
      const sendEncodings = track.kind === 'video' ? [{ maxBitrate: VIDEO_BPS }] : [{}];
      connection.addTransceiver(track, {
        direction: 'sendonly', streams: [source.stream], sendEncodings,
      });
    });
    run.publisher = new Line('publish', form, send, heard('own-state'));
    run.lines.push(run.publisher);
  }
  if (DEVELOPMENT || form.play) {
    $('sound').disabled = false;
    run.player = new Line('play', form, (c) => player.prepare(c), heard('room-state'));
    run.lines.push(run.player);
  }
  return undefined;
}

/** What a line says goes to its badge, its reasons to the message. */
function heard(id) {
  let told = null;
  return (state, problem) => {
    badge($(id), state);
    if (problem) {
      if (!(problem instanceof Problem)) console.error(problem);
      say('bad', problem.message);
      told = problem.message;
    } else if (state === 'connected' && $('message').textContent === told) {
      say('', null);
    }
  };
}

function stop() {
  if (!running) return;
  running.lines.forEach((line) => line.stop());
  running.source?.stop();
  running = null;
  player.clear();
  $('preview').srcObject = null;
  $('own').hidden = true;
  $('room-state').hidden = true;
  $('sounds').hidden = true;
  lock(false);
  explain();
}

function lock(on) {
  for (const element of $('form').querySelectorAll('input')) {
    element.disabled = on || (element.value === 'camera' && !navigator.mediaDevices);
  }
  $('watch').disabled = on;
  $('sound').disabled = true;
  $('start').textContent = on ? 'Stop' : 'Go live';
  $('start').className = on ? 'stop' : 'main';
}

async function measure() {
  for (;;) {
    const connectionOf = (line) => line?.session?.connection;
    try {
      const sender = connectionOf(running?.publisher);
      if (sender) {
        const stats = [...(await sender.getStats()).values()];
        show($('own-figures'), figuresOfSender(stats, ownMeter));
      }
      const { pictures, sounds } = await player.update(connectionOf(running?.player));
      $('empty').hidden = pictures > 0;
      $('sounds').hidden = sounds.length === 0;
      show($('sounds'), sounds);
    } catch (error) {
      // A connection that was closed meanwhile has no figures.
      console.debug(error);
    }
    await sleep(1000);
  }
}

for (const part of document.querySelectorAll('[data-only]')) {
  part.hidden = part.dataset.only !== document.documentElement.dataset.mode;
  for (const input of part.querySelectorAll('input')) input.required &&= !part.hidden;
}
$('mode').textContent = DEVELOPMENT ? 'development' : '';
$('address').textContent = location.origin.replace(/^http/, 'ws');
$('room').value = new URLSearchParams(location.search).get('room') ?? 'demo';
$('identity').value = `guest-${Math.random().toString(36).slice(2, 6)}`;
if (!navigator.mediaDevices) {
  document.querySelector('[value=pattern]').checked = true;
  $('fine').textContent = 'Browsers open the camera only to pages from localhost or over HTTPS, so '
    + 'the test pattern is sent.';
}
$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (running) stop(); else start(true);
});
$('watch').addEventListener('click', () => {
  if ($('form').reportValidity()) start(false);
});
$('sound').addEventListener('click', ({ currentTarget: button }) => {
  const on = button.getAttribute('aria-pressed') !== 'true';
  button.setAttribute('aria-pressed', String(on));
  button.textContent = on ? 'Sound is on' : 'Sound is off';
  player.setSounds(on);
});
addEventListener('pagehide', () => stop());
lock(false);
explain();
watchServer();
measure();
