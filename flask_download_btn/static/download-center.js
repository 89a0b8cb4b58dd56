/* <download-center>: keep the list of a visitor's runs current, and offer files rather than save them. */

const EVERY = 5000;
const SOON = 300;
const WHEN_TOLD = 1500;

class DownloadCenter extends HTMLElement {
  #leaving = null;
  #timer = 0;
  #soon = 0;
  #isAsking = false;
  #told = new WeakMap();
  #focused = null;

  connectedCallback() {
    this.#leaving = new AbortController();
    const {signal} = this.#leaving;
    // Who comes to look shall not have files thrown at them.
    this.addEventListener("download-btn-ready", (event) => event.preventDefault(), {signal});
    this.addEventListener("focusin", ({target}) => (this.#focused = target.closest("[data-run]")), {signal});
    document.addEventListener("download-btn-change", (event) => this.#learn(event), {signal});
    this.addEventListener("click", ({target}) => target.closest("a") && this.#askSoon(WHEN_TOLD), {signal});
    document.addEventListener("visibilitychange", () => this.refresh(), {signal});
    this.#timer = setInterval(() => this.refresh(), EVERY);
    this.#offerNotice();
    this.#sayTimes();
  }

  disconnectedCallback() {
    this.#leaving.abort();
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#soon = 0;
  }

  get list() {
    return this.querySelector("ul");
  }

  /** Ask for the list again, and take in what is new or has become something else. */
  async refresh() {
    if (document.hidden || this.#isAsking) return;
    this.#isAsking = true;
    const {signal} = this.#leaving;
    try {
      const answer = await fetch(this.dataset.url, {credentials: "same-origin", signal});
      const text = answer.ok ? await answer.text() : "";
      if (this.isConnected) this.#take(new DOMParser().parseFromString(text, "text/html").querySelector("download-center"));
    } catch {
      // The next time will do.
    }
    this.#isAsking = false;
  }

  #take(fresh) {
    if (!fresh) return;
    const known = new Map([...this.list.children].map((item) => [item.dataset.run, item]));
    const items = [...fresh.querySelector("ul").children];
    for (const [index, item] of items.entries()) {
      const old = known.get(item.dataset.run);
      known.delete(item.dataset.run);
      if (old?.dataset.kind === item.dataset.kind) continue;
      if (old) this.#replace(old, document.adoptNode(item));
      else this.list.insertBefore(document.adoptNode(item), this.list.children[index] ?? null);
    }
    for (const item of known.values()) this.#drop(item);
    this.querySelector("[data-center-empty]").hidden = items.length > 0;
    this.#sayTimes();
  }

  /* Focus stays on the link that has it, or near it. */
  #replace(old, item) {
    const index = reachable(old).indexOf(document.activeElement);
    const hadFocus = old.contains(document.activeElement);
    old.replaceWith(item);
    if (hadFocus) (reachable(item)[index] ?? item).focus();
  }

  #drop(item) {
    const hadFocus = item.contains(document.activeElement);
    const near = item.nextElementSibling ?? item.previousElementSibling;
    item.remove();
    if (hadFocus) near?.focus();
  }

  /* A run, of a button elsewhere in the page or of this list, has become something that the list does not show. */
  #learn({target, detail}) {
    const news = `${detail?.run} ${target.state}`;
    const isOurs = this.contains(target);
    if (!isOurs && detail?.run) this.#hush(detail.run);
    if (isOurs) this.#keepFocus(target.closest("[data-run]"));
    if (!detail?.run || this.#told.get(target) === news) return;
    this.#told.set(target, news);
    // An announcement would be cut off with the item that makes it.
    this.#askSoon(isOurs ? WHEN_TOLD : SOON);
  }

  /* What the button itself announces is not said twice. */
  #hush(run) {
    for (const element of this.querySelectorAll("download-btn")) {
      if (element.snapshot?.run === run) element.querySelector("[data-btn-live]")?.removeAttribute("data-btn-live");
    }
  }

  #askSoon(delay) {
    this.#soon ||= setTimeout(() => this.refresh((this.#soon = 0)), delay);
  }

  /* A button that goes away, as Cancel does, leaves the focus to its run. */
  #keepFocus(item) {
    if (item === this.#focused && document.activeElement === document.body) item.focus();
  }

  /* The server writes times for everybody; here they are the visitor's own. */
  #sayTimes() {
    for (const time of this.querySelectorAll("time:not([data-own])")) {
      time.textContent = new Date(time.dateTime).toLocaleString([], {dateStyle: "medium", timeStyle: "short"});
      time.dataset.own = "";
    }
  }

  #offerNotice() {
    const button = this.querySelector("[data-center-notify]");
    button.hidden = globalThis.Notification?.permission !== "default";
    button.onclick = async () => {
      await Notification.requestPermission();
      button.hidden = true;
      this.querySelector("[data-run]")?.focus();
    };
  }
}

function reachable(item) {
  return [...item.querySelectorAll("a[href], button")].filter((node) => node.getClientRects().length);
}

customElements.get("download-center") ?? customElements.define("download-center", DownloadCenter);
