import { messageWithoutValues } from "../domain/message-without-values.ts";

/** A body that was read: its text, which is the same bytes again in UTF-8, and its value. */
export type ReadJson = { kind: "json"; text: string; value: unknown } | { kind: "invalid"; problem: string };

/** Reads a body that has to be one JSON value in UTF-8 (RFC 8259), without a byte order mark. */
export function readJson(body: Uint8Array): ReadJson {
  if (body.byteLength === 0) {
    return { kind: "invalid", problem: "it is empty" };
  }
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    return { kind: "invalid", problem: "it is not UTF-8" };
  }
  try {
    return { kind: "json", text, value: JSON.parse(text) };
  } catch (error) {
    return { kind: "invalid", problem: messageWithoutValues(error) };
  }
}

/** `ignoreBOM` keeps a byte order mark in the text, where JSON does not allow it. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
