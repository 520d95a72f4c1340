/**
 * Binary values within JSON: they travel beside it, each as a message of its own, and a placeholder
 * says where it belongs.
 */

import { isObject } from "./packet.js";

export type Binary = ArrayBuffer | ArrayBufferView | Blob;

type Replacer = (this: any, key: string, value: any) => any;

const PLACEHOLDER = "_placeholder";

/** Whether a value is one that JSON cannot say; a File is a Blob. */
export function isBinary(value: unknown): value is Binary {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value) || value instanceof Blob;
}

/** Whether there is a binary value anywhere in it. */
export function hasBinary(value: any): boolean {
  if (!isObject(value)) return false;
  if (isBinary(value)) return true;
  if (typeof value.toJSON === "function") {
    const plain = value.toJSON();
    // A second `toJSON` is not asked: JSON.stringify does not ask it either.
    return isBinary(plain) || (isObject(plain) && Object.values(plain).some(hasBinary));
  }
  return Object.values(value).some(hasBinary);
}

/** Write JSON with placeholders; what they stand for is added to `attachments`, in their order. */
export function takeApart(value: unknown, attachments: Binary[], replacer?: Replacer): string {
  return JSON.stringify(value, function (key, plain) {
    // Node's buffers have a `toJSON`, whose result `plain` then is.
    const found = [this[key], plain].find(isBinary);
    if (found) return { [PLACEHOLDER]: true, num: attachments.push(found) - 1 };
    return replacer ? replacer.call(this, key, plain) : plain;
  });
}

/** Put attachments where their placeholders are. */
export function putTogether(value: any, attachments: readonly unknown[]): any {
  if (!isObject(value)) return value;
  if (value[PLACEHOLDER] === true) {
    const num = value.num as number;
    if (Number.isInteger(num) && num >= 0 && num < attachments.length) return attachments[num];
    throw new Error("illegal attachments");
  }
  for (const key of Object.keys(value)) value[key] = putTogether(value[key], attachments);
  return value;
}
