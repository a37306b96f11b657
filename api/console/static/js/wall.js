/* A wall of pictures: rows of a grid of which only those in view exist, filled from pages that are fetched where
   somebody looks. However many pictures there are, the document holds some dozen rows and memory some thousand. */

const ROWS_BEYOND = 3;
const PAGES_KEPT = 40;
const SETTLE_MILLISECONDS = 60;

export class Wall {
  constructor(root, { fill, fetchPage, pageSize, onFailure }) {
    Object.assign(this, { root, fill, fetchPage, pageSize, onFailure });
    this.total = 0;
    this.columns = 1;
    this.rows = new Map();
    this.pages = new Map();
    this.stale = new Set();
    this.coming = new Map();
    this.current = 0;
    this.later = 0;
    addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(root);
    root.addEventListener("keydown", (event) => this.press(event));
    root.addEventListener("focusin", (event) => {
      const cell = event.target.closest("[data-index]");
      if (cell) this.mark(Number(cell.dataset.index));
    });
  }

  /* There are so many pictures now. What is shown stays until it has been fetched again. */
  show(total) {
    const grown = total !== this.total;
    this.total = total;
    this.stale = new Set(this.pages.keys());
    for (const request of this.coming.values()) request.abort();
    this.coming.clear();
    this.current = Math.min(this.current, Math.max(0, total - 1));
    this.measure(grown);
  }

  measure(force = false) {
    const style = getComputedStyle(this.root);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const columns = Math.max(2, Math.floor(this.root.clientWidth / (parseFloat(style.getPropertyValue("--cell")) * rem + 12)));
    this.rowHeight = parseFloat(style.getPropertyValue("--row")) * rem;
    if (columns !== this.columns || force) {
      this.columns = columns;
      this.root.style.setProperty("--columns", columns);
      this.root.setAttribute("aria-colcount", columns);
      this.root.setAttribute("aria-rowcount", Math.ceil(this.total / columns));
      const held = this.root.contains(document.activeElement);
      for (const row of this.rows.values()) row.remove();
      this.rows.clear();
      this.root.style.height = `${Math.ceil(this.total / columns) * this.rowHeight}px`;
      this.draw();
      if (held) this.focus(this.current);
      return;
    }
    this.draw();
  }

  draw() {
    const top = -this.root.getBoundingClientRect().top;
    const last = Math.ceil(this.total / this.columns) - 1;
    const from = Math.max(0, Math.floor(top / this.rowHeight) - ROWS_BEYOND);
    const to = Math.min(last, Math.ceil((top + innerHeight) / this.rowHeight) + ROWS_BEYOND);
    const kept = Math.floor(this.current / this.columns);
    for (const [number, row] of this.rows) {
      const focused = number === kept && row.contains(document.activeElement);
      if ((number < from || number > to) && !focused) {
        row.remove();
        this.rows.delete(number);
      }
    }
    for (let number = from; number <= to; number += 1) {
      if (!this.rows.has(number)) this.addRow(number);
    }
    clearTimeout(this.later);
    this.later = setTimeout(() => this.want(from, to), SETTLE_MILLISECONDS);
  }

  addRow(number) {
    const row = document.createElement("div");
    row.className = "wall-row";
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", number + 1);
    row.style.transform = `translateY(${number * this.rowHeight}px)`;
    const end = Math.min(this.total, (number + 1) * this.columns);
    for (let index = number * this.columns; index < end; index += 1) {
      const cell = document.createElement("div");
      cell.setAttribute("role", "gridcell");
      cell.append(this.link(index));
      row.append(cell);
    }
    this.rows.set(number, row);
    const next = [...this.root.children].find((other) => Number(other.getAttribute("aria-rowindex")) > number + 1);
    this.root.insertBefore(row, next ?? null);
  }

  link(index) {
    const link = this.fill(this.entry(index));
    link.dataset.index = index;
    link.tabIndex = index === this.current ? 0 : -1;
    return link;
  }

  entry(index) {
    return this.pages.get(Math.floor(index / this.pageSize))?.[index % this.pageSize];
  }

  /* Fetch the pages that the rows from..to need; requests for what is no longer in view are broken off. */
  want(from, to) {
    const first = Math.floor((from * this.columns) / this.pageSize);
    const last = Math.floor(Math.min(this.total - 1, (to + 1) * this.columns - 1) / this.pageSize);
    for (const [number, request] of this.coming) {
      if (number < first || number > last) {
        request.abort();
        this.coming.delete(number);
      }
    }
    for (let number = first; number <= last; number += 1) {
      const known = this.pages.has(number) && !this.stale.has(number);
      if (this.total > 0 && !known && !this.coming.has(number)) this.load(number);
    }
  }

  async load(number) {
    const request = new AbortController();
    this.coming.set(number, request);
    try {
      const entries = await this.fetchPage(number, request.signal);
      if (request.signal.aborted) return;
      this.coming.delete(number);
      this.keep(number, entries);
      this.refill(number);
    } catch (error) {
      if (request.signal.aborted) return;
      this.coming.delete(number);
      this.onFailure(error);
    }
  }

  keep(number, entries) {
    this.stale.delete(number);
    this.pages.delete(number);
    this.pages.set(number, entries);
    if (this.pages.size > PAGES_KEPT) this.pages.delete(this.pages.keys().next().value);
  }

  refill(number) {
    for (const link of this.root.querySelectorAll("[data-index]")) {
      const index = Number(link.dataset.index);
      if (Math.floor(index / this.pageSize) !== number) continue;
      const focused = link === document.activeElement;
      const filled = this.link(index);
      link.replaceWith(filled);
      if (focused) filled.focus({ preventScroll: true });
    }
  }

  mark(index) {
    this.root.querySelector('[data-index][tabindex="0"]')?.setAttribute("tabindex", "-1");
    this.current = index;
    this.root.querySelector(`[data-index="${index}"]`)?.setAttribute("tabindex", "0");
  }

  focus(index) {
    const bounded = Math.max(0, Math.min(this.total - 1, index));
    const number = Math.floor(bounded / this.columns);
    const top = this.root.getBoundingClientRect().top + number * this.rowHeight;
    if (top < 0) scrollBy({ top: top - 16, behavior: "instant" });
    else if (top + this.rowHeight > innerHeight) scrollBy({ top: top + this.rowHeight - innerHeight + 16, behavior: "instant" });
    this.draw();
    this.root.querySelector(`[data-index="${bounded}"]`)?.focus({ preventScroll: true });
  }

  press(event) {
    if (event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(innerHeight / this.rowHeight)) * this.columns;
    const start = Math.floor(this.current / this.columns) * this.columns;
    const targets = {
      ArrowRight: this.current + 1,
      ArrowLeft: this.current - 1,
      ArrowDown: this.current + this.columns,
      ArrowUp: this.current - this.columns,
      PageDown: this.current + page,
      PageUp: this.current - page,
      Home: event.ctrlKey ? 0 : start,
      End: event.ctrlKey ? this.total - 1 : start + this.columns - 1,
    };
    if (!(event.key in targets)) return;
    event.preventDefault();
    this.focus(targets[event.key]);
  }
}
