/* <download-btn>: turn a click into a run, and show its pictures in what the templates hold.
   The first click loads download-btn-live.js, which follows the run and saves its files. */

const LIVE = ["submitting", "queued", "running", "reconnecting"];
const OTHER_SUBMIT = ":is([type=submit], button:not([type])):not([name=download_btn_token])";
const OVER = ["failed", "cancelled", "expired"];

let live = null;

/** Load the second half; `null` if it cannot be had. */
async function load() {
  const {href, search} = new URL(import.meta.url);
  live ??= await import(new URL("download-btn-live.js" + search, href)).catch(() => null);
  return live;
}

/** Ask our server for a picture; `null` if none came. */
async function ask(url, options) {
  try {
    const answer = await fetch(url, {credentials: "same-origin", headers: {Accept: "application/json"}, ...options});
    const picture = await answer.json().catch(() => null);
    return {status: answer.status, picture: picture?.state ? picture : null};
  } catch {
    return null;
  }
}

/** Show the nodes that these tokens name, with fields in their words, never as HTML. */
function fill(nodes, tokens, fields, refuge) {
  for (const node of nodes) {
    const {btnWhen, btnWords} = node.dataset;
    let shown = !btnWhen || btnWhen.split(" ").some((token) => tokens.includes(token));
    if (shown && btnWords) {
      const words = put(btnWords, fields);
      shown = words !== null;
      if (shown && node.textContent !== words) node.textContent = words;
    }
    // Focus would go with the node that holds it.
    if (!shown && node.contains(document.activeElement)) refuge.focus();
    node.hidden = !shown;
  }
}

/** Put fields into words; those that lack one say nothing. */
function put(words, fields) {
  let lacks = false;
  const text = words.replace(/\{(\w+)\}/g, (_, name) => fields[name] ?? (lacks = true));
  return lacks || !text ? null : text;
}

/** Tell whether another button of a spot shows a run; a list of downloads does not count. */
function isShownBeside(element, {run}) {
  return [...document.querySelectorAll("download-btn[data-spot]")].some((other) => other !== element && other.snapshot?.run === run);
}

class DownloadBtn extends HTMLElement {
  static observedAttributes = ["data-state"];
  snapshot = null;
  state = "idle";
  flags = new Set();
  #follower = null;
  #request = null;
  #frame = 0;
  #said = "";
  #saidAt = 0;
  #later = 0;

  get button() {
    return this.querySelector("[name=download_btn_token]");
  }

  get panel() {
    return document.getElementById(this.dataset.progress);
  }

  get form() {
    return this.dataset.form ? this.button.form : this.closest("form");
  }

  /** Whether a click changes nothing. */
  get isLive() {
    return LIVE.includes(this.state) && !this.flags.has("lost");
  }

  connectedCallback() {
    this.addEventListener("click", this);
    this.addEventListener("keydown", this);
    this.#adopt();
    const known = this.snapshot ?? this.#recall();
    if (!known || known.state === "cancelled" || this.state === "done") this.show(this.state);
    else if (this.snapshot || this.dataset.spot === undefined) this.#follow(known, true);
    else queueMicrotask(() => isShownBeside(this, known) ? this.show("idle") : this.#follow(known, true));
  }

  disconnectedCallback() {
    this.#leave();
    if (!this.snapshot) this.state = "idle";
  }

  /* Who morphs a page writes what the server sends, which knows of no run. */
  attributeChangedCallback(name, before, state) {
    if (this.isConnected && state !== this.state) this.#drawSoon();
  }

  handleEvent(event) {
    if (event.type === "keydown") {
      // Enter held down is one click.
      if (event.repeat && event.key === "Enter") event.preventDefault();
    } else if (!event.defaultPrevented && this.button.contains(event.target)) {
      event.preventDefault();
      if (event.detail < 2) this.start();
    }
  }

  /** Start a run, as a click does. */
  async start() {
    const {button, form} = this;
    if (this.isLive) return;
    live?.forgive(form);
    if (form && !form.noValidate && !form.reportValidity()) return;
    if (!this.emit("start", true)) return;
    // A token alone is read faster as text.
    const body = form ? new FormData(form) : new URLSearchParams();
    body.set(button.name, button.value);
    this.#leave();
    this.snapshot = null;
    this.show("submitting");
    const request = (this.#request = new AbortController());
    const isUpload = [...body.values()].some(({size}) => size);
    const slow = setTimeout(() => this.show("reconnecting"), isUpload ? 60000 : 8000);
    const asked = ask(this.dataset.start, {method: "POST", body, signal: request.signal});
    await load();
    const answer = await asked;
    clearTimeout(slow);
    if (request.signal.aborted) return;
    if (!answer?.picture) return this.fail(answer ? "garbled" : "offline", answer ?? {});
    await this.#follow(answer.picture);
    if (this.flags.has("cancelling")) this.cancel();
  }

  /** Ask the server to stop the run. */
  async cancel() {
    const {snapshot} = this;
    if (!LIVE.includes(this.state)) return;
    this.show(this.state, "cancelling");
    if (snapshot) {
      const answer = await ask(snapshot.cancel_url, {method: "POST"});
      if (answer?.picture?.run) this.accept(answer.picture);
      else if (this.snapshot?.run === snapshot.run) this.show(this.state);
    } else {
      // An answer may yet bring the run.
      setTimeout(() => {
        if (this.snapshot || !this.isLive) return;
        this.#request.abort();
        this.accept({run: null, state: "cancelled", files: [], seq: 0});
      }, this.state === "submitting" && 2000);
    }
  }

  /** Take a newer picture, drop an older one. */
  accept(picture) {
    const before = this.snapshot;
    if (before && before.run === picture.run) {
      const ends = OVER.includes(picture.state) && !OVER.includes(before.state);
      if (picture.seq <= before.seq && !ends) return;
      if (picture.stage_no === before.stage_no && picture.percent !== null && picture.percent < before.percent) {
        picture = {...picture, percent: before.percent, text: before.text};
      }
    }
    this.snapshot = picture;
    const isNews = picture.state !== before?.state || picture.run !== before.run;
    const isStopping = this.flags.has("cancelling") && LIVE.includes(picture.state);
    if (isNews) this.show(picture.state, isStopping && "cancelling");
    else this.#drawSoon();
    if (isNews && picture.state === "failed") this.emit("failed");
    this.#follower?.look();
  }

  /** Fail with one of the page's own sentences. */
  fail(word, fields = {}) {
    const message = put(this.querySelector("[data-btn-live]")?.dataset[word] ?? "", fields);
    const {run = null, seq = 0, files = []} = this.snapshot ?? {};
    this.accept({...this.snapshot, run, seq: seq + 1, files, message, state: word === "gone" ? "expired" : "failed"});
  }

  /** Fire `download-btn-…`; false if a listener prevented it. */
  emit(name, cancelable = false) {
    return this.dispatchEvent(new CustomEvent("download-btn-" + name, {bubbles: true, cancelable, detail: this.snapshot}));
  }

  /** Go to a state of the page, which may say more than the run's own. */
  show(state, flag) {
    this.state = state;
    this.flags = new Set(flag ? [flag] : []);
    this.#draw();
  }

  /** Save the files once more. */
  save() {
    this.#follower?.save(true);
  }

  async #follow(picture, resumed = false) {
    this.accept(picture);
    if (OVER.includes(picture.state)) return;
    const isLoaded = await load();
    if (this.snapshot?.run !== picture.run || !this.isConnected) return;
    if (isLoaded) this.#follower = live.follow(this, {ask, fill, resumed});
    else this.fail("offline");
  }

  #leave() {
    this.#follower?.stop();
    this.#follower = null;
    this.#request?.abort();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#later);
    this.#frame = 0;
  }

  /* Enter in a field means the form's own submit button, if it has one. */
  #adopt() {
    const {button, form, dataset} = this;
    if (!dataset.form && form?.querySelector(OTHER_SUBMIT)) button.setAttribute("form", "");
  }

  /* A page out of the browser's cache knows of no run. */
  #recall() {
    try {
      return JSON.parse(this.dataset.snapshot ?? sessionStorage.getItem("download-btn " + this.id));
    } catch {
      return null;
    }
  }

  #drawSoon() {
    if (document.hidden) this.#draw();
    else this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const {button, panel, state} = this;
    const fields = {...this.snapshot, ...live?.wordsOf(this)};
    const tokens = this.#tokens(fields);
    this.dataset.state = state;
    if (this.isLive) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
    for (const root of [this, panel]) {
      if (!root) continue;
      root.dataset.state = state;
      fill(root.querySelectorAll(":is([data-btn-when], [data-btn-words]):not([data-btn-files] *)"), tokens, fields, button);
    }
    live?.draw(this, panel);
    this.#announce(fields);
    this.emit("change");
  }

  #tokens({text, message, files = [], zip}) {
    const {state, flags} = this;
    const tokens = [...flags];
    if (!/held|elsewhere|cut/.test([...flags])) tokens.push(state);
    if (!text && (state === "running" || state === "reconnecting")) tokens.push("wordless");
    if (LIVE.includes(state) && !flags.has("cancelling")) tokens.push("stoppable", state === "running" && "timed");
    if (files.length && (state === "saving" || state === "done")) tokens.push("repeatable");
    if (state === "done") tokens.push(!files.length ? message || "nothing" : message ? "messaged" : "plain");
    if (state === "expired" && !message) tokens.push("stale");
    if (files.length > 1 && ["ready", "saving", "done", "failed"].includes(state)) tokens.push("several");
    if (zip) tokens.push("zip");
    return tokens;
  }

  /* Start, quarters, stages, end: who hears every percent hears nothing else. */
  #announce({run, stage_no, percent}) {
    const {state, flags} = this;
    const mark = [state, ...flags, run, stage_no, Math.floor((percent ?? 0) / 25)].join();
    const isUrgent = !["queued", "running", "ready", "saving"].includes(state) || flags.size;
    const now = performance.now();
    const region = this.querySelector("[data-btn-live]");
    clearTimeout(this.#later);
    if (!region || state === "idle" || mark === this.#said) return;
    const wait = isUrgent ? 0 : this.#saidAt + 2000 - now;
    if (wait > 0) return (this.#later = setTimeout(() => this.#draw(), wait));
    this.#said = mark;
    this.#saidAt = now;
    const nodes = this.panel?.querySelectorAll("[data-btn-say]:not([hidden])") ?? [];
    region.textContent = [...nodes].map((node) => node.textContent.trim()).join(" ");
  }
}

function press({target, detail}) {
  // A double click is not Try again.
  const act = detail > 1 ? null : target.closest?.("[data-btn-act]");
  const element = act && (document.getElementById(act.closest("[data-btn-for]")?.dataset.btnFor) ?? act.closest("download-btn"));
  element?.[act.dataset.btnAct]?.();
}

// An upgrade may bring a second one.
if (!customElements.get("download-btn")) {
  customElements.define("download-btn", DownloadBtn);
  document.addEventListener("click", press);
}
