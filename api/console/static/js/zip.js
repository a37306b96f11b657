/* Reads ZIP archives in the browser, entry by entry: only the list of contents and the entry that is being sent are in
   memory. Encrypted, split and 64-bit archives are refused by name. */

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const LONGEST_END_BYTES = 65557;
const MOST_LIST_BYTES = 64e6;

async function view(blob, from, to) {
  return new DataView(await blob.slice(from, to).arrayBuffer());
}

export async function zipEntries(file) {
  const tail = await view(file, Math.max(0, file.size - LONGEST_END_BYTES), file.size);
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END) end -= 1;
  if (end < 0) throw new Error(`${file.name} is no ZIP archive, or was cut short.`);
  const size = tail.getUint32(end + 12, true);
  const start = tail.getUint32(end + 16, true);
  if (start === 0xffffffff || size > MOST_LIST_BYTES) {
    throw new Error(`${file.name} is too large to be unpacked here; use the command leaktrace submit.`);
  }
  return [...listed(await view(file, start, start + size), file)];
}

function* listed(list, file) {
  const text = new TextDecoder();
  let at = 0;
  while (at + 46 <= list.byteLength && list.getUint32(at, true) === ENTRY) {
    const [flags, method] = [list.getUint16(at + 8, true), list.getUint16(at + 10, true)];
    const [packed, size] = [list.getUint32(at + 20, true), list.getUint32(at + 24, true)];
    const [nameBytes, extra, comment] = [28, 30, 32].map((offset) => list.getUint16(at + offset, true));
    const path = text.decode(new Uint8Array(list.buffer, list.byteOffset + at + 46, nameBytes));
    const offset = list.getUint32(at + 42, true);
    at += 46 + nameBytes + extra + comment;
    if (path.endsWith("/")) continue;
    yield { path, size, open: () => unpack(file, { offset, packed, size, method, encrypted: (flags & 1) === 1 }) };
  }
}

async function unpack(file, { offset, packed, size, method, encrypted }) {
  if (encrypted) throw new Error("It is encrypted; unpack the archive first.");
  const head = await view(file, offset, offset + 30);
  if (head.getUint32(0, true) !== LOCAL) throw new Error("The archive is damaged here.");
  const start = offset + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const stored = file.slice(start, start + packed);
  if (method === 0) return stored;
  if (method !== 8) throw new Error("It is packed in a way that is not read here; unpack the archive first.");
  const reader = stored.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > size) throw new Error("It unpacks to more than the archive says.");
    parts.push(value);
  }
  return new Blob(parts);
}
