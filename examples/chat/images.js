// Pictures: which bytes count as one, and how a large photograph is made small enough to send.

const STARTS = [
  ["image/png", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ["image/jpeg", [0xff, 0xd8, 0xff]],
  ["image/gif", [0x47, 0x49, 0x46, 0x38]],
];
const LONGEST_SIDE = 1600;

/** The media type of an image by its first bytes, or "" when it is none that is shown here. */
export function imageType(buffer) {
  const bytes = new Uint8Array(buffer, 0, Math.min(12, buffer.byteLength));
  const found = STARTS.find(([, start]) => start.every((byte, at) => bytes[at] === byte));
  if (found) return found[0];
  const text = String.fromCharCode(...bytes);
  return text.startsWith("RIFF") && text.slice(8) === "WEBP" ? "image/webp" : "";
}

/** The bytes to send for a file; throws an Error with a message for the reader when it will not do. */
export async function prepareImage(file, limit) {
  if (file.size > 50 * 1024 * 1024) throw new Error("This file is too large.");
  const bytes = await file.arrayBuffer();
  const type = imageType(bytes);
  if (!type) throw new Error("Only PNG, JPEG, GIF and WebP images can be sent.");
  if (bytes.byteLength <= limit) return bytes;
  const smaller = type === "image/gif" ? null : await shrink(new Blob([bytes], { type }));
  if (!smaller || smaller.byteLength > limit) {
    throw new Error(`This image is too large: at most ${Math.floor(limit / 1024)} KiB can be sent.`);
  }
  return smaller;
}

async function shrink(blob) {
  const picture = await createImageBitmap(blob);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const result = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
  return result && result.arrayBuffer();
}
