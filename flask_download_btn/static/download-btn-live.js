/* What follows a click: watch the run by socket and by poll, save its files, and say which did not come. */

const BURST_GAP = 120; // Chromium silently drops more than ten downloads in a second.
const HELD_AFTER = 4000;
const HOLD = 5000;
const STORED_WITHIN = 300; // Other tabs read it a little later.
const MOST_REFUSALS = 3;
const CUT_AFTER = 2000; // A browser may go on by itself.
const SILENCE = 4000;
const JUST_ENDED = 60000;
const PASSING = [429, 502, 503, 504];
const LIVE = ["queued", "running"];
const OVER = ["failed", "cancelled", "expired"];

const links = new Map();
const begun = new Set();
const drawn = new WeakMap();
const blamed = new WeakMap();
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const isFirst = (run) => new Promise((resolve) => {
  // Held while the files start, so that of all tabs that found the run one saves them.
  const key = "download-btn " + run;
  const hold = (lock) => (resolve(Boolean(lock)), lock && pause(HOLD));
  if (navigator.locks) navigator.locks.request(key, {ifAvailable: true}, hold);
  else resolve(isFirstInStore(key));
});
/* Over plain HTTP a browser has no locks. Of tabs that look at once, the last to write goes first. */
async function isFirstInStore(key) {
  try {
    if (Date.now() - parseInt(localStorage.getItem(key)) < HOLD) return false;
    const mine = Date.now() + " " + Math.random();
    localStorage.setItem(key, mine);
    await pause(STORED_WITHIN);
    if (localStorage.getItem(key) !== mine) return false;
    setTimeout(() => localStorage.removeItem(key), HOLD);
  } catch {
    // Without a store, better twice than not at all.
  }
  return true;
}
/* Some browsers fetch a file for a frame that may not save, and throw it away. */
function mayBeForbidden() {
  try {
    const sandbox = window.frameElement?.sandbox;
    if (sandbox) return Boolean(sandbox.length) && !sandbox.contains("allow-downloads");
  } catch {
    // A frame of another site tells nothing.
  }
  return window !== top;
}
const isWeb = (url) => /^https?:$/.test(new URL(url, location).protocol);
const isShown = (run) => [...document.querySelectorAll("download-btn")].some(({snapshot}) => snapshot?.run === run);
const isHeld = ({flags}) => flags.has("held") || flags.has("framed");
const isForeign = (url) => new URL(url, location).origin !== location.origin;

/** One socket for all buttons of a page; it closes soon after nobody follows a run. */
class Link {
  followers = new Set();
  #socket = null;
  #opening = null;
  #closing = 0;

  constructor({client, socket, socketPath}) {
    Object.assign(this, {client, address: socket, path: socketPath});
  }

  /** Whether the socket brings news of this one's run: what had ended before is not watched. */
  tells(follower) {
    return this.#isConnected && this.followers.has(follower);
  }

  get #isConnected() {
    return Boolean(this.#socket?.connected);
  }

  async join(follower) {
    this.followers.add(follower);
    clearTimeout(this.#closing);
    try {
      await (this.#opening ??= this.#open());
    } catch {
      this.#opening = null;
      return;
    }
    if (!this.followers.size) this.#socket.disconnect();
    else if (this.#isConnected) this.#watch(follower);
    else this.#socket.connect();
  }

  leave(follower) {
    this.followers.delete(follower);
    if (!this.followers.size) this.#closing = setTimeout(() => this.#socket?.disconnect(), 2000);
  }

  async #open() {
    const {io} = await import(this.client);
    this.#socket = io(this.address, {
      path: this.path,
      transports: ["websocket"],
      autoConnect: false,
      reconnectionDelay: 500,
      reconnectionDelayMax: 2000,
    });
    // Where no WebSocket passes, the console is not filled with attempts.
    this.#socket.io.on("reconnect_attempt", (number) => this.#socket.io.reconnectionDelayMax(number > 5 ? 30000 : 2000));
    // A connection that came back has no rooms.
    this.#socket.on("connect", () => this.followers.forEach((follower) => this.#watch(follower)));
    this.#socket.on("snapshot", (picture) => this.followers.forEach((follower) => follower.hear(picture)));
  }

  #watch(follower) {
    this.#socket.emit("watch", follower.run, (picture) => follower.hear(picture));
  }
}

function linkOf({dataset}) {
  const key = dataset.socketPath + " " + dataset.socket;
  if (!links.has(key)) links.set(key, new Link(dataset));
  return links.get(key);
}

/** Follows one run of one button until its files are saved. */
class Follower {
  isStopped = false;
  #asks = new AbortController();
  #request = null;
  #timer = 0;
  #heardAt = performance.now();
  #misses = 0;
  #refusals = 0;
  #polls = 0;
  #isPolling = false;
  #wasLive = false;
  #isFinishing = false;
  #isTaken = false;
  #isKept = null;
  #pressedAt = Infinity;
  #cutAt = Infinity;
  #hasLooked = false;
  #isLooking = false;
  #pressed = new Set();
  #refused = new Map();
  #gone = new Set();
  #opened = new Set();
  #elsewhere = new Set();

  constructor(element, {ask, fill, resumed}) {
    const {run, offered} = element.snapshot;
    Object.assign(this, {element, ask, fill, resumed, run, isOffer: offered, link: linkOf(element)});
  }

  begin() {
    const {signal} = this.#asks;
    this.#timer = setInterval(() => this.#check(), 200);
    // A lid that opens, a network that returns: look at once.
    for (const [target, name] of [[window, "online"], [window, "pageshow"], [document, "visibilitychange"]]) {
      target.addEventListener(name, () => (this.#heardAt = 0), {signal});
    }
    if (!this.resumed) begun.add(this.run);
    window.addEventListener("pagehide", () => this.#leave(), {signal});
    this.element.panel?.addEventListener("click", ({target}) => target.closest("a") && this.#take(), {signal});
    if (this.resumed) this.#heardAt = 0;
    if (this.element.snapshot.state !== "ready") this.link.join(this);
    this.look();
  }

  /* Where a button says so, its run ends with the page that began it. */
  #leave() {
    const {dataset, snapshot} = this.element;
    if (this.#isKept && snapshot) this.#remember(true);
    const ends = dataset.leave === "cancel" && begun.has(this.run) && LIVE.includes(snapshot?.state);
    if (ends) navigator.sendBeacon(snapshot.cancel_url, new Blob([], {type: "application/json"}));
  }

  stop() {
    this.isStopped = true;
    // Turbo and htmx leave a page without unloading it; what is moved, or replaced, is back at once.
    if (!this.element.isConnected) setTimeout(() => isShown(this.run) || this.#leave());
    clearInterval(this.#timer);
    this.#asks.abort();
    this.#request?.abort();
    this.link.leave(this);
  }

  /** Take a picture that the server sent, whichever way. */
  hear(picture) {
    if (this.isStopped || picture?.run !== this.run) return;
    this.#heardAt = performance.now();
    this.#misses = this.#refusals = 0;
    const {element} = this;
    const {state, seq, at} = element.snapshot;
    // The page was away for long: who comes back shall not have files thrown at them.
    if (seq < 0 && picture.state === "ready" && Date.now() - at > JUST_ENDED) this.isOffer = true;
    if (element.state === "reconnecting") element.show(state);
    element.accept(this.isOffer ? {...picture, offered: true} : picture);
  }

  /** Act on the picture that the element now shows. */
  look() {
    if (this.isStopped) return;
    const {state} = this.element.snapshot;
    if (this.#wasLive && document.hidden) notify(this.element, this.run);
    this.#wasLive = LIVE.includes(state);
    this.#remember();
    if (OVER.includes(state)) this.stop();
    else if (state === "ready" && this.#isFinishing) this.#settle();
    else if (state === "ready") this.#finish();
  }

  /* For a page out of the browser's cache. */
  #remember(again = false) {
    const {id, snapshot: {run, state, url, cancel_url}} = this.element;
    const isKept = LIVE.includes(state);
    if (this.#isKept === isKept && !again) return;
    this.#isKept = isKept;
    try {
      // No words: somebody else may sit here when the page comes back.
      const known = {run, state, url, cancel_url, files: [], seq: -1, at: Date.now()};
      if (isKept) sessionStorage.setItem("download-btn " + id, JSON.stringify(known));
      else for (const key in {...sessionStorage}) /^download-btn /.test(key) && sessionStorage[key].includes(run) && sessionStorage.removeItem(key);
    } catch {
      // Without storage, only the server knows of the run.
    }
  }

  /* What the page remembers is of somebody who was here before, or long ago. */
  #forget() {
    sessionStorage.removeItem("download-btn " + this.element.id);
    this.stop();
    this.element.snapshot = null;
    this.element.show("idle");
  }

  /** Save all files, or those that nobody has begun to fetch; look first at those that may be gone. */
  async save(again = false) {
    const {element} = this;
    const files = filesToSave(element.snapshot).filter((file) => again || !this.resumed || !file.started);
    const mustLook = again || this.resumed;
    this.isOffer = false;
    element.snapshot = {...element.snapshot, offered: false};
    this.#refused.clear();
    this.#hasLooked = false;
    // What needs no look is on its way before it is said to be.
    if (mustLook || files[0]?.size === null) element.show("saving");
    for (const [index, file] of files.entries()) {
      if (!isWeb(file.url) || this.isElsewhere(file)) continue;
      if (index) await pause(BURST_GAP);
      if (mustLook || file.size === null) await this.#try(file);
      if (!element.isConnected || element.snapshot?.run !== this.run) return;
      if (!this.#refused.has(file.url) && !this.isElsewhere(file)) this.#press(file);
      if (element.state !== "saving") element.show("saving");
    }
    this.#pressedAt = performance.now();
    if (this.#refused.size) this.#refuse();
    else if (again && this.isStopped) element.show("done");
    else this.#settle();
  }

  /** Tell whether a file is another site's: such a link may lead the page away, so the visitor opens it. */
  isElsewhere({url, elsewhere}) {
    return elsewhere || isForeign(url) || this.#elsewhere.has(url);
  }

  stateOf(file) {
    if (this.#refused.has(file.url) || file.gone) return "refused";
    if (file.downloaded || this.#opened.has(file.url)) return "downloaded";
    if (this.#pressed.has(file.url) && file.size === null) return "downloaded";
    if (file.cut) return "cut";
    return file.started ? "started" : "waiting";
  }

  /** Note that the visitor took a file whose server does not tell us. */
  note(file) {
    if (this.isElsewhere(file)) this.#opened.add(file.url);
    if (!this.isStopped) this.#settle();
  }

  /* What is offered is asked about only after the visitor took something. */
  #take() {
    this.#isTaken = true;
    this.#polls = 0;
  }

  async #finish() {
    this.#isFinishing = true;
    const {element} = this;
    // Who comes back to a page must not be sent on by it once more.
    if (this.resumed && element.snapshot.files.every(({downloaded}) => downloaded)) return this.stop() ?? element.show("done");
    const isOffer = this.isOffer;
    // A listener that saves at once takes this back.
    this.isOffer = true;
    if (!element.emit("ready", true) || isOffer) return this.isOffer && element.show("ready", "offered");
    this.isOffer = false;
    // The tab that was clicked goes first; one that found the run saves what that tab did not.
    if (this.resumed) await pause(document.hidden ? 3000 : 1200);
    const isMine = !this.resumed || (await isFirst(this.run));
    if (this.isStopped) return;
    if (isMine) return this.save();
    this.#pressedAt = performance.now();
    this.#settle();
  }

  #settle() {
    const {element} = this;
    const pending = element.snapshot.files.filter((file) => this.stateOf(file) !== "downloaded");
    if (this.isOffer && this.#isTaken && !pending.length) return this.#end();
    if (this.#pressedAt === Infinity) return;
    const now = performance.now();
    const isLate = now - this.#pressedAt > HELD_AFTER;
    const isCut = this.#refusals > MOST_REFUSALS || pending.some((file) => this.stateOf(file) === "cut");
    this.#cutAt = isCut ? Math.min(this.#cutAt, now) : Infinity;
    // An archive is told of only when it is complete.
    const isMissing = isLate && !element.snapshot.zip?.only && pending.some((file) => !this.isElsewhere(file) && !file.started);
    if (!pending.length) this.#end();
    else if (now - this.#cutAt > CUT_AFTER) this.#offer("cut");
    else if (isMissing) this.#explain(pending);
    else if (pending.every((file) => this.isElsewhere(file))) this.#offer("elsewhere");
    else if (isHeld(element) || element.flags.has("cut")) element.show("saving");
  }

  /* Nobody began to fetch these: they cannot be had, or else the browser holds them back. */
  async #explain(pending) {
    if (this.#isLooking) return;
    if (!this.#hasLooked) {
      this.#isLooking = true;
      for (const file of pending) {
        if (!file.started && !this.isElsewhere(file)) await this.#try(file, true);
      }
      this.#isLooking = false;
      this.#hasLooked = true;
      // Some may have come meanwhile.
      for (const {url, started} of this.element.snapshot.files) started && this.#refused.delete(url);
      return this.isStopped || this.#settle();
    }
    // A frame may be forbidden to save anything, and is not told.
    if (this.#refused.size) this.#refuse();
    else this.#offer(window === top ? "held" : "framed");
  }

  #refuse() {
    const names = [...this.#refused.values()].join(", ");
    this.element.fail(this.element.snapshot.files.every(({url}) => this.#gone.has(url)) ? "gone" : "unsaved", {names});
  }

  #offer(flag) {
    if (!this.element.flags.has(flag)) this.element.show("ready", flag);
  }

  #end() {
    const {element} = this;
    const {snapshot} = element;
    this.stop();
    element.show("done", mayBeForbidden() && "framed");
    element.emit("done");
    if (!snapshot.callback || !isWeb(snapshot.callback)) return;
    // The message before it is read for at least a second, and another run is not interrupted.
    setTimeout(() => element.isConnected && element.snapshot?.run === this.run && location.assign(snapshot.callback), 1200);
  }

  #press({url, name}) {
    const anchor = document.createElement("a");
    Object.assign(anchor, {href: url, download: name}).click();
    this.#pressed.add(url);
  }

  /* Look before saving what may be gone: a page that says so must not be saved under the file's name. */
  async #try({url, name, size}, isPatient = false) {
    const isLink = size === null;
    try {
      this.#gone.delete(url);
      const answer = await fetch(url, {method: "HEAD", credentials: "same-origin", redirect: isLink ? "follow" : "manual"});
      if (answer.status === 410) this.#gone.add(url);
      if (isLink && isForeign(answer.url)) this.#elsewhere.add(url);
      else if (answer.status >= 400 && ![405, 501, ...(isPatient ? PASSING : [])].includes(answer.status)) this.#refused.set(url, name);
    } catch {
      // What another site keeps cannot be asked for.
      if (isLink) this.#elsewhere.add(url);
      else if (!isPatient) this.#refused.set(url, name);
    }
  }

  #check() {
    if (this.#isFinishing) this.#settle();
    if (!this.isStopped && !this.#isPolling && performance.now() - this.#heardAt >= this.#patience) this.#poll();
  }

  get #patience() {
    if (this.link.tells(this) && !this.#misses && this.#heardAt) return SILENCE;
    if (this.isOffer && !this.#isTaken) return Infinity;
    if (this.#isFinishing) return Math.min(150 * 2 ** this.#polls, 10000);
    return Math.min(1000 * 1.2 ** this.#misses, 5000);
  }

  async #poll() {
    this.#isPolling = true;
    this.#polls += this.#isFinishing;
    const request = (this.#request = new AbortController());
    const timer = setTimeout(() => request.abort(), SILENCE);
    const answer = await this.ask(this.element.snapshot.url, {cache: "no-store", signal: request.signal});
    clearTimeout(timer);
    this.#isPolling = false;
    if (this.isStopped) return;
    this.#heardAt = performance.now();
    if (answer?.status === 200 && answer.picture) this.hear(answer.picture);
    else if (![401, 403, 404, 410].includes(answer?.status)) this.#miss(request.signal.aborted);
    else if (this.element.snapshot.seq < 0) this.#forget();
    else this.element.fail("gone");
  }

  #miss(isSilent) {
    this.#misses += 1;
    // A server that is silent may be busy with the very file.
    this.#refusals += !isSilent;
    if (this.#isFinishing) return;
    // After a while the button may be used again; a click then finds the same run, if it lives.
    this.element.show("reconnecting", this.#misses > 10 && "lost");
  }
}

/* Nobody is asked here: only the visitor's own click, on a button of the page, may ask. */
function notify({button, panel, state}, run) {
  if (!["ready", "failed", "expired"].includes(state) || globalThis.Notification?.permission !== "granted") return;
  const said = panel?.querySelectorAll("[data-btn-say]:not([hidden])") ?? [];
  const body = [...said].map((node) => node.textContent.trim()).join(" ");
  try {
    // Two tabs that follow one run say it once.
    const notice = new Notification(button.textContent.trim(), {body, tag: run});
    notice.onclick = () => (focus(), notice.close());
  } catch {
    // Some phones have it and do not let a page use it.
  }
}

/** All files, or the one archive of them that the button asks for. */
function filesToSave({files, zip}) {
  return zip?.only ? [{...zip, started: files.some(({started}) => started)}] : files;
}

/** Follow the run that the element shows. */
export function follow(element, options) {
  const follower = new Follower(element, options);
  drawn.set(element, {...drawn.get(element), follower});
  queueMicrotask(() => {
    // What came before this was loaded has no bar yet, and a run may say nothing new for long.
    draw(element, element.panel);
    follower.begin();
  });
  return follower;
}

/** Draw the bar, and a row for each file. */
export function draw(element, panel) {
  const memory = drawn.get(element) ?? {};
  drawn.set(element, memory);
  const bar = panel?.querySelector("[data-btn-bar]");
  if (bar) drawBar(element, bar, memory);
  const list = panel?.querySelector("[data-btn-files]");
  if (list && memory.follower) drawFiles(element, list, memory);
  const errors = element.snapshot?.errors;
  if (errors && errors !== memory.errors) blame(element, (memory.errors = errors));
  const all = panel?.querySelector("[data-btn-zip]");
  const zip = element.snapshot?.zip;
  if (zip) aim(all, zip, isHeld(element));
  const page = panel?.querySelector("[data-btn-page]");
  if (page && element.snapshot?.url) page.href = element.snapshot.url;
}

/** Put into words what sentences say of a run's files. */
export function wordsOf({snapshot, panel}) {
  const isMirrored = panel?.matches(":dir(rtl)");
  const namesOf = (files) => files.map(({name}) => isolated(name, isMirrored));
  const {files = [], zip} = snapshot ?? {};
  const cut = files.filter(({cut}) => cut);
  const names = namesOf(zip?.only ? [zip] : files);
  return {
    cut_text: namesOf(cut.length ? cut : files.filter(({downloaded}) => !downloaded)).join(", "),
    files_text: names.length > 3 ? `${names.slice(0, 2).join(", ")}… (${names.length})` : names.join(", "),
    zip_text: isolated(zip?.size_text, isMirrored),
    reference: isolated(snapshot?.reference, isMirrored),
  };
}

/* Where a name is of another direction than its sentence, each would turn parts of the other around. */
function isolated(text, isMirrored) {
  return text && (isMirrored || /[^ -~]/.test(text)) ? `\u2068${text}\u2069` : text;
}

/** Take back what was said of a form's fields, or of one. */
export function forgive(form, only) {
  for (const [name, {fields, place}] of blamed.get(form) ?? []) {
    if (only !== undefined && name !== only) continue;
    if (place) place.hidden = true;
    for (const field of fields) {
      field.removeAttribute("aria-invalid");
      field.classList.remove("is-invalid");
      field.setCustomValidity("");
    }
  }
}

/* Say at each field what is wrong with it: in the page's own place for that, or as the browser does. */
function blame(element, errors) {
  const {form, snapshot} = element;
  const all = new Map();
  for (const [name, text] of Object.entries(errors)) {
    const fields = [...(form?.elements ?? [])].filter((field) => field.name === name && field.willValidate);
    const place = [...(form?.querySelectorAll("[data-btn-error]") ?? [])].find(({dataset}) => dataset.btnError === name);
    if (fields.length || place) all.set(name, {fields, place, text});
  }
  for (const {fields, place, text} of all.values()) accuse(fields, place, text);
  const rest = Object.keys(errors).filter((name) => !all.has(name)).map((name) => errors[name]);
  if (rest.length) {
    element.snapshot = {...snapshot, message: [snapshot.message, ...rest].filter(Boolean).join(" ")};
    element.show("failed");
  }
  const first = [...(form?.elements ?? [])].find((field) => all.get(field.name)?.fields.includes(field));
  if (!first) return;
  first.focus();
  first.reportValidity();
  if (!blamed.has(form)) form.addEventListener("input", ({target}) => forgive(form, target.name));
  blamed.set(form, all);
}

function accuse(fields, place, text) {
  if (place) {
    place.textContent = text;
    place.hidden = false;
    place.id ||= "download-btn-error-" + place.dataset.btnError;
  }
  for (const field of fields) {
    field.setAttribute("aria-invalid", "true");
    field.classList.add("is-invalid");
    if (!place) field.setCustomValidity(text);
    else if (!field.hasAttribute("aria-describedby")) field.setAttribute("aria-describedby", place.id);
  }
}

function drawBar({state, snapshot}, bar, memory) {
  const inner = bar.querySelector("[data-btn-fill]");
  const percent = percentOf(state, snapshot, memory.percent);
  const stage = `${snapshot?.run} ${snapshot?.stage_no}`;
  // A new stage begins at once: a bar that slides back looks like work undone.
  const jumps = percent === null || !(percent >= memory.percent) || stage !== memory.stage;
  Object.assign(memory, {percent, stage});
  bar.toggleAttribute("data-indeterminate", percent === null);
  setOrRemove(bar, "aria-valuenow", percent === null ? null : Math.floor(percent));
  setOrRemove(bar, "aria-valuetext", state === "running" && snapshot.text ? snapshot.text : null);
  inner.style.transition = jumps ? "none" : "";
  inner.style.width = percent === null ? "" : percent + "%";
  if (jumps) inner.getBoundingClientRect();
}

function percentOf(state, snapshot, before) {
  if (["ready", "saving", "done"].includes(state)) return 100;
  if (["queued", "running", "reconnecting"].includes(state)) return snapshot?.percent ?? null;
  return state === "submitting" ? null : before ?? 0;
}

function setOrRemove(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else node.setAttribute(name, value);
}

function drawFiles(element, list, memory) {
  const {follower} = memory;
  const {run = null, files = [], zip} = element.snapshot ?? {};
  const template = list.querySelector("template");
  const key = run + " " + files.map(({url}) => url).join(" ");
  if (!template) return;
  // Who morphs a page takes the rows away that its server did not send.
  const isWhole = memory.list === list && list.children.length > files.length;
  if (memory.key !== key || !isWhole) {
    if (list.contains(document.activeElement)) element.button.focus();
    list.replaceChildren(template, ...files.map((file) => newRow(template, file, memory)));
    Object.assign(memory, {key, list});
  }
  files.forEach((file, index) => {
    const row = list.children[index + 1];
    const fields = {name: file.name, size_text: file.size_text, type: file.type};
    const state = follower.stateOf(file);
    // Within an archive it was not saved by itself.
    const tokens = zip?.only && state !== "refused" ? [] : [state];
    follower.fill(row.querySelectorAll("[data-btn-when], [data-btn-words]"), tokens, fields, element.button);
    const isAway = isHeld(element) || follower.isElsewhere(file);
    aim(row.querySelector("[data-btn-link]"), file, isAway);
  });
}

/* Where Chromium waits for an answer to its question, or was told no, links of this tab save nothing. */
function aim(anchor, {url, name}, isAway) {
  if (!anchor || !isWeb(url)) return;
  anchor.href = url;
  setOrRemove(anchor, "download", isAway ? null : name);
  setOrRemove(anchor, "target", isAway ? "_blank" : null);
}

function newRow(template, file, memory) {
  const row = template.content.cloneNode(true).firstElementChild;
  const anchor = row.querySelector("[data-btn-link]");
  if (anchor && file.type) anchor.type = file.type;
  anchor?.addEventListener("click", () => memory.follower.note(file));
  return row;
}
