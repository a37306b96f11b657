/* Sends images into a batch, several at a time: straight to the object store by the forms that the service signs, or
   through the service where the store cannot be reached from here. Files that arrived before are not sent again. */

import { ask, scriptToken } from "./service.js";

const AT_ONCE = 4;
const PROMISED_TOGETHER = 24;
const TRIES = 4;
const FIRST_PAUSE_MILLISECONDS = 800;

class Unreachable extends Error {}

class Refused extends Error {}

export class Sending {
  constructor(batchId, images, onChange) {
    Object.assign(this, { batchId, images, onChange });
    this.total = images.length;
    this.totalBytes = images.reduce((sum, image) => sum + image.size, 0);
    this.done = 0;
    this.doneBytes = 0;
    this.failed = [];
    this.active = new Map();
    this.stopped = new AbortController();
    // Hashes can be had on secure pages alone; without them the store's forms cannot be asked for.
    this.direct = crypto.subtle !== undefined;
  }

  get sentBytes() {
    return [...this.active.values()].reduce((sum, one) => sum + one.sent, this.doneBytes);
  }

  stop() {
    this.stopped.abort();
  }

  /* Resolves when every image has arrived or failed for good; failed ones are in `failed` with their reason. Rejects when
     the batch takes nothing more: the quota is used up, it was closed elsewhere, or the service stays away. */
  async run() {
    const there = await this.arrived();
    const left = this.images.filter((image) => {
      if (there.get(image.path) !== image.size) return true;
      this.finish(image);
      return false;
    });
    await this.work(left);
  }

  async retry() {
    const again = this.failed.map(({ image }) => image);
    this.failed = [];
    await this.work(again);
  }

  async work(images) {
    const groups = [];
    for (let at = 0; at < images.length; at += PROMISED_TOGETHER) groups.push(images.slice(at, at + PROMISED_TOGETHER));
    const ready = [];
    let promising = null;
    let broken = null;
    const next = async () => {
      while (ready.length === 0 && (groups.length > 0 || promising)) {
        promising ??= this.promise(groups.shift()).then((jobs) => { ready.push(...jobs); promising = null; });
        await promising;
      }
      return ready.shift();
    };
    const lane = async () => {
      try {
        for (let job = await next(); job && !broken && !this.stopped.signal.aborted; job = await next()) await this.send(job);
      } catch (error) {
        broken ??= error;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    if (broken) throw broken;
  }

  /* What the batch has whole already: custom_id -> bytes. */
  async arrived() {
    const there = new Map();
    let cursor = "";
    do {
      const page = await this.insist(() => ask(`/v1/batches/${this.batchId}/results?limit=1000${cursor}`));
      for (const { custom_id: path, image } of page.data) if (image) there.set(path, image.size_bytes);
      cursor = page.next_cursor ? `&cursor=${encodeURIComponent(page.next_cursor)}` : null;
    } while (cursor !== null);
    return there;
  }

  /* The group as jobs: with the store's form where there is one. */
  async promise(group) {
    if (!this.direct) return group.map((image) => ({ image }));
    const jobs = [];
    const files = [];
    for (const image of group) {
      try {
        const hash = await crypto.subtle.digest("SHA-256", await (await image.open()).arrayBuffer());
        const sha256 = [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        files.push({ custom_id: image.path, file_name: image.path.split("/").pop(), sha256, size_bytes: image.size });
        jobs.push({ image });
      } catch (error) {
        this.fail(image, error.message);
      }
    }
    if (files.length === 0) return [];
    try {
      const path = `/v1/batches/${this.batchId}/uploads`;
      const answer = await this.insist(() => ask(path, { method: "POST", json: { files, resume: true } }));
      answer.data.forEach((promise, index) => { jobs[index].promise = promise; });
    } catch (error) {
      // One bad name refuses the whole group; sent one by one only the bad one is refused.
      if (error.status !== 422) throw error;
    }
    return jobs;
  }

  async send({ image, promise }) {
    if (promise && promise.status === "refused") return this.fail(image, promise.error.detail);
    if (promise && promise.status !== "upload") return this.finish(image);
    this.active.set(image, { sent: 0 });
    try {
      const blob = await image.open();
      await this.insist(() => this.post(image, blob, promise));
      this.finish(image);
    } catch (error) {
      this.fail(image, error.message);
    }
  }

  async post(image, blob, promise) {
    if (promise && this.direct) {
      try {
        await this.postToStore(image, blob, promise);
        return;
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        this.direct = false;
      }
    }
    await this.postToService(image, blob);
  }

  postToStore(image, blob, promise) {
    const form = new FormData();
    for (const [name, value] of Object.entries(promise.fields)) form.append(name, value);
    form.append("file", blob);
    return this.transfer(image, promise.url, form, {});
  }

  async postToService(image, blob) {
    const form = new FormData();
    form.append("files", blob, image.path);
    const headers = { "X-CSRF-Token": scriptToken(), Accept: "application/json" };
    const text = await this.transfer(image, `/v1/batches/${this.batchId}/images`, form, headers);
    const [answer] = JSON.parse(text).data;
    if (answer.status === "refused") throw new Refused(answer.error.detail);
  }

  /* fetch says nothing of how far an upload is, XMLHttpRequest does. */
  transfer(image, address, form, headers) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const stop = () => request.abort();
      request.open("POST", address);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.upload.addEventListener("progress", ({ loaded }) => {
        this.active.get(image).sent = Math.min(loaded, image.size);
        this.onChange();
      });
      request.addEventListener("load", () => {
        if (request.status < 300) resolve(request.responseText);
        else if (request.status >= 500 || request.status === 429) reject(new Error(`The server answered ${request.status}.`));
        else reject(new Refused(wordsOf(request)));
      });
      request.addEventListener("error", () => reject(new Unreachable("The connection broke.")));
      request.addEventListener("abort", () => reject(new Refused("It was stopped.")));
      request.addEventListener("loadend", () => this.stopped.signal.removeEventListener("abort", stop));
      this.stopped.signal.addEventListener("abort", stop);
      request.send(form);
    });
  }

  /* Try again after growing pauses what a moment may mend; what was refused stays refused. */
  async insist(step) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await step();
      } catch (error) {
        const busy = error.status === 429 && error.code !== "quota_exceeded";
        const refused = error instanceof Refused || (error.status >= 400 && error.status < 500 && !busy);
        if (refused || attempt === TRIES || this.stopped.signal.aborted) throw error;
        await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MILLISECONDS * 2 ** (attempt - 1)));
      }
    }
  }

  finish(image) {
    this.active.delete(image);
    this.done += 1;
    this.doneBytes += image.size;
    this.onChange();
  }

  fail(image, reason) {
    this.active.delete(image);
    this.failed.push({ image, reason });
    this.onChange();
  }
}

function wordsOf(request) {
  try {
    return JSON.parse(request.responseText).detail;
  } catch {
    return `The server refused it (${request.status}).`;
  }
}
