// The page's side of bridge.py: draws a snapshot of the kernel's Bokeh document and applies one patch a frame.

const SAMPLES_MOST = 4096; // latencies kept for whoever measures
const LAG_MOST_MS = 150; // a page that is later than that gathers patches
const CATCH_UP_MS = 25; // for so long
const ASK_AGAIN_MS = 5000; // a snapshot that has not come by then is asked for again
const ASK_LEAST_MS = 500; // at least this long between two requests

// what all mirrors of a page share; `views` can be read by tests and benchmarks
const page = (window.__twin_mirror ??= { views: [], loaded: new Set(), loading: new Map() });

const array_buffer = ({ buffer, byteOffset, byteLength }) => buffer.slice(byteOffset, byteOffset + byteLength);
const named_buffers = (message, buffers) => new Map(message.buffers.map((name, i) => [name, array_buffer(buffers[i])]));

function bokeh_of(version) {
  return window.Bokeh?.version === version ? window.Bokeh : window.Bokeh?.[version];
}

function is_loaded(name, version) {
  const bokeh = bokeh_of(version);
  const known = { bokeh, "bokeh-widgets": bokeh?.Widgets, "bokeh-tables": bokeh?.Tables };
  return Boolean(bokeh && (known[name] || page.loaded.has(`${name} ${version}`)));
}

async function run_script(gzipped) {
  const stream = new Blob([gzipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  script.remove();
}

class View {
  constructor(model, el) {
    Object.assign(this, { model, el, client: crypto.randomUUID?.() ?? `${Math.random()}${Date.now()}` });
    Object.assign(this, { frames: 0, data_frames: 0, sequence: null, snapshots: 0, gaps: 0, failures: 0, pings: 0 });
    this.latencies_ms = []; // kernel to page, the newest SAMPLES_MOST
    this.data_at_ms = null; // page clock of the newest frame that brought data
    this.document = null; // of BokehJS
    this.follows = false; // whether the next patch fits
    this.taken = null; // number of the newest patch that came; up to `sequence` they are applied
    this.waiting = []; // patches between the two
    this.least_ms = Infinity;
    this.owed = 0; // patches applied since the last acknowledgement
    this.asked_at_ms = -Infinity;
    this.abort = new AbortController();
    this.prepare_place();
    this.listen();
  }

  prepare_place() {
    const { height } = this.model.get("_about");
    this.el.classList.add("twin-mirror");
    Object.assign(this.el.style, { minWidth: "0", position: "relative" });
    if (height) this.el.style.height = `${height}px`;
  }

  listen() {
    const { signal } = this.abort;
    this.on_message = (message, buffers) => this.received(message, buffers);
    this.model.on("msg:custom", this.on_message);
    document.addEventListener("visibilitychange", () => this.visibility_changed(), { signal });
    window.addEventListener("pagehide", () => this.send("bye"), { signal });
    window.addEventListener("pageshow", (event) => event.persisted && this.ask("restored"), { signal });
    // an output is filled before it becomes part of the page, and Bokeh needs its width
    this.sizes = new ResizeObserver(() => {
      if (this.el.clientWidth > 0 && !this.started) this.start();
    });
    this.sizes.observe(this.el);
  }

  async start() {
    this.started = true;
    this.sizes.disconnect();
    try {
      await this.load(this.model.get("_about").libraries);
      this.ask("first");
    } catch (error) {
      this.show_error(`BokehJS could not be loaded: ${error.message}`);
    }
  }

  send(kind, more = {}) {
    this.model.send({ kind, client: this.client, ...more });
  }

  // messages of the kernel

  received(message, buffers) {
    if (this.disposed || (message.to && message.to !== this.client)) return;
    if (message.kind === "patch") this.patch(message, buffers);
    else if (message.kind === "snapshot") this.snapshot(message, buffers);
    else if (message.kind === "current") this.current(message);
    else if (message.kind === "library") this.take_library?.(buffers[0]);
    else if (message.kind === "ping") this.ping(message);
    else if (message.kind === "error") this.show_error(message.text);
  }

  patch(message, buffers) {
    if (!this.follows || document.hidden || message.sequence <= this.taken) return;
    if (message.sequence !== this.taken + 1) {
      this.gaps += 1;
      this.ask("gap");
      return;
    }
    this.taken = message.sequence;
    this.waiting.push([message, buffers]);
    if (this.waiting.length > 1) return;
    // who lags applies what has come meanwhile at once, and paints once for it
    if (this.lag_ms(message) < LAG_MOST_MS) this.apply();
    else setTimeout(() => this.apply(), CATCH_UP_MS);
  }

  // against the quickest message so far: the clocks of kernel and page may differ
  lag_ms(message) {
    const latency = Date.now() - message.sent_at_ms;
    this.least_ms = Math.min(this.least_ms, latency);
    return latency - this.least_ms;
  }

  apply() {
    const waiting = this.waiting.splice(0);
    if (!this.follows || this.disposed || !waiting.length) return;
    let data = false;
    try {
      for (const [message, buffers] of waiting) {
        const content = JSON.parse(message.content);
        this.document.apply_json_patch(content, named_buffers(message, buffers));
        data ||= content.events.some((event) => event.kind.startsWith("Columns"));
        this.applied(message);
      }
    } catch (error) {
      this.failures += 1;
      console.warn("mirror: a patch did not fit, asking for a snapshot", error);
      this.ask("failure");
    }
    if (data) {
      this.data_frames += 1;
      this.data_at_ms = performance.now();
    }
  }

  applied(message) {
    this.sequence = message.sequence;
    this.frames += 1;
    this.latencies_ms.push(Date.now() - message.sent_at_ms);
    if (this.latencies_ms.length > SAMPLES_MOST) this.latencies_ms.shift();
    this.owed += 1;
    if (this.owed >= this.model.get("_about").acknowledge_every) this.acknowledge();
  }

  acknowledge() {
    this.owed = 0;
    this.send("acknowledge", { sequence: this.sequence });
  }

  ping(message) {
    this.pings += 1;
    if (message.sequence > (this.taken ?? -1)) this.ask("ping");
  }

  current(message) {
    this.answered();
    this.sequence = this.taken = message.sequence;
    this.follows = this.document !== null;
  }

  async snapshot(message, buffers) {
    this.answered();
    const missing = message.libraries.filter((name) => !is_loaded(name, this.version));
    if (missing.length) {
      await this.load(missing);
      this.ask("library");
      return;
    }
    try {
      await this.draw(message, buffers);
    } catch (error) {
      this.failures += 1;
      this.show_error(`The figure could not be drawn: ${error.message}`);
      console.error(error);
    }
  }

  // drawing

  async draw(message, buffers) {
    const bokeh = bokeh_of(this.version);
    const named = named_buffers(message, buffers);
    const drawn = bokeh.require("document").Document.from_json(JSON.parse(message.content), [], named);
    const former = this.remember_former();
    const place = document.createElement("div");
    Object.assign(place.style, { width: "100%", height: this.model.get("_about").height ? "100%" : "auto" });
    this.el.append(place);
    Object.assign(this, { document: drawn, place, follows: true, owed: 0, waiting: [] });
    this.sequence = this.taken = message.sequence;
    await bokeh.embed.add_document_standalone(drawn, place);
    if (this.disposed || this.document !== drawn) return;
    former?.();
    this.error?.remove();
    this.snapshots += 1;
    this.acknowledge();
  }

  // the former drawing covers the new one until that is complete, so that nothing flickers or moves
  remember_former() {
    if (!this.document) return null;
    const { document: drawn, place, version } = this;
    Object.assign(place.style, { position: "absolute", inset: "0", zIndex: "1", pointerEvents: "none" });
    const remove = () => {
      this.covers.delete(remove);
      discard(bokeh_of(version), drawn);
      place.remove();
    };
    (this.covers ??= new Set()).add(remove);
    return () => [...this.covers].forEach((cover) => cover());
  }

  show_error(text) {
    this.error ??= document.createElement("pre");
    this.error.textContent = text;
    Object.assign(this.error.style, { color: "#b00020", whiteSpace: "pre-wrap", margin: "0.5em 0" });
    this.el.append(this.error);
  }

  // requests

  get version() {
    return this.model.get("_about").version;
  }

  ask(reason) {
    this.follows = false;
    if (this.asking || this.disposed || document.hidden) return;
    const wait = Math.max(0, this.asked_at_ms + ASK_LEAST_MS - performance.now());
    this.asking = setTimeout(() => {
      this.asked_at_ms = performance.now();
      this.asking = setTimeout(() => {
        this.asking = null;
        this.ask(reason);
      }, ASK_AGAIN_MS);
      this.send("snapshot", { reason, has: reason === "visible" && this.document ? this.sequence : null });
    }, wait);
  }

  answered() {
    clearTimeout(this.asking);
    this.asking = null;
  }

  visibility_changed() {
    if (!this.started) return;
    if (document.hidden) {
      this.answered(); // what was to be asked is asked on return
      this.follows = false;
      this.send("hidden");
    } else {
      this.ask("visible");
    }
  }

  // one part after the other: the later need the first; views of a page share what is under way
  async load(names) {
    for (const name of names) {
      const key = `${name} ${this.version}`;
      while (!is_loaded(name, this.version) && !this.disposed) {
        if (!page.loading.has(key)) {
          page.loading.set(key, this.fetch(name, key).finally(() => page.loading.delete(key)));
        }
        await page.loading.get(key);
      }
    }
  }

  async fetch(name, key) {
    const gzipped = await new Promise((resolve) => {
      const ask = () => this.send("library", { name });
      const again = setInterval(ask, ASK_AGAIN_MS);
      this.take_library = (script) => {
        clearInterval(again);
        resolve(script);
      };
      ask();
    });
    if (gzipped === null) return; // this view is gone: another one asks for itself
    await run_script(gzipped);
    if (!bokeh_of(this.version)) throw new Error("the page did not run it");
    page.loaded.add(key);
  }

  dispose() {
    this.disposed = true;
    this.take_library?.(null);
    this.answered();
    this.abort.abort();
    this.sizes.disconnect();
    this.model.off("msg:custom", this.on_message);
    this.covers?.forEach((remove) => remove());
    if (this.document) discard(bokeh_of(this.version), this.document);
    page.views.splice(page.views.indexOf(this), 1);
    try {
      this.send("bye");
    } catch {
      // the channel is gone with the kernel
    }
  }
}

function discard(bokeh, drawn) {
  drawn.clear({ sync: false });
  const at = bokeh.documents.indexOf(drawn);
  if (at >= 0) bokeh.documents.splice(at, 1);
}

function render({ model, el }) {
  const view = new View(model, el);
  page.views.push(view);
  return () => view.dispose();
}

export default { render };
