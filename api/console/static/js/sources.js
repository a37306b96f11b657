/* From what a person dropped or chose to a list of images: each with the path that becomes its custom_id, its size, and
   how to open it. Folders are walked, ZIP archives read, hidden files and files that are no images passed over. */

import { zipEntries } from "./zip.js";

const IMAGE = /\.(avif|bmp|gif|heic|heif|hif|jfif|jpe|jpe?g|png|tiff?|webp)$/i;
const OTHER_ARCHIVE = /\.(tar|tgz|tbz2?|txz|gz|bz2|xz|zst|7z|rar)$/i;

export async function fromDrop(transfer) {
  const files = [...transfer.items].filter((item) => item.kind === "file");
  const roots = files.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = { name: "", images: [], passedOver: 0 };
  for (const root of roots) {
    if (root.isDirectory) await walk(root, "", found);
    else await take(root instanceof File ? root : await fileOf(root), root.name, found);
  }
  return named(found, roots.map((root) => root.name));
}

export async function fromChosen(files) {
  const found = { name: "", images: [], passedOver: 0 };
  for (const file of files) {
    const inFolder = file.webkitRelativePath;
    await take(file, inFolder ? inFolder.slice(inFolder.indexOf("/") + 1) : file.name, found);
  }
  const first = files[0];
  return named(found, first?.webkitRelativePath ? [first.webkitRelativePath.split("/")[0]] : [...files].map((file) => file.name));
}

function named(found, roots) {
  const name = roots.length === 1 ? roots[0].replace(/\.zip$/i, "") : `${roots.length} files`;
  const paths = new Map(found.images.map((image) => [image.path, image]));
  return { name, images: [...paths.values()].sort((a, b) => (a.path < b.path ? -1 : 1)), passedOver: found.passedOver };
}

/* Paths begin below the folder that was dropped, as those of `leaktrace submit` do. */
async function walk(folder, prefix, found) {
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return;
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory) await walk(entry, `${prefix}${entry.name}/`, found);
      else await take(await fileOf(entry), prefix + entry.name, found);
    }
  }
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function take(file, path, found) {
  if (/\.zip$/i.test(path)) {
    for (const entry of await zipEntries(file)) add(entry, found);
  } else if (OTHER_ARCHIVE.test(path)) {
    throw new Error(`${path}: only ZIP archives are unpacked here. Use the command leaktrace submit for this one.`);
  } else {
    add({ path, size: file.size, open: async () => file }, found);
  }
}

function add(image, found) {
  const hidden = image.path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");
  if (!hidden && image.size > 0 && IMAGE.test(image.path)) found.images.push(image);
  else found.passedOver += 1;
}
