/* <download-center>: keep the list of a visitor's runs current, and offer files rather than save them. */

const EVERY = 5000;

class DownloadCenter extends HTMLElement {
  #leaving = new AbortController();
  #timer = 0;
  #soon = 0;

  connectedCallback() {
    this.#leaving = new AbortController();
    const {signal} = this.#leaving;
    // Who comes to look shall not have files thrown at them.
    this.addEventListener("download-btn-ready", (event) => event.preventDefault(), {signal});
    for (const name of ["change", "done", "failed"]) {
      document.addEventListener("download-btn-" + name, (event) => this.#learn(event), {signal});
    }
    document.addEventListener("visibilitychange", () => this.refresh(), {signal});
    this.#timer = setInterval(() => this.refresh(), EVERY);
    this.#offerNotice();
    this.#sayTimes();
  }

  disconnectedCallback() {
    this.#leaving.abort();
    clearInterval(this.#timer);
  }

  /** Ask for the list again, and take in what is new or has become something else. */
  async refresh() {
    if (document.hidden) return;
    const answer = await fetch(this.dataset.url, {credentials: "same-origin"}).catch(() => null);
    if (!answer?.ok || !this.isConnected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    this.#take(page.querySelector("download-center"));
  }

  get list() {
    return this.querySelector("ul");
  }

  #take(fresh) {
    if (!fresh) return;
    const known = new Map([...this.list.children].map((item) => [item.dataset.run, item]));
    const items = [...fresh.querySelector("ul").children];
    for (const [index, item] of items.entries()) {
      const old = known.get(item.dataset.run);
      known.delete(item.dataset.run);
      if (old?.dataset.kind === item.dataset.kind) continue;
      if (old) old.replaceWith(document.adoptNode(item));
      else this.list.insertBefore(document.adoptNode(item), this.list.children[index] ?? null);
    }
    for (const item of known.values()) item.remove();
    this.querySelector("[data-center-empty]").hidden = items.length > 0;
    this.#sayTimes();
  }

  /* A button elsewhere in the page has started a run that the list does not know. */
  #learn({target, detail}) {
    if (!this.contains(target) && detail?.run) this.#soon ||= setTimeout(() => this.refresh((this.#soon = 0)), 300);
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
    };
  }
}

customElements.get("download-center") ?? customElements.define("download-center", DownloadCenter);
