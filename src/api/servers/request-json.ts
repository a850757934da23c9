import { fromJsonString } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { inexactNumberProblem } from "../../domain/inexact-number.ts";
import { refusalError } from "./refusal.ts";

/**
 * Reads the JSON of Connect's requests as text. Throws an error of Connect, MALFORMED_REQUEST, for bytes that are no UTF-8, which would be replaced
 * in silence, and for a number that would become another one. A byte order mark at the beginning is passed over.
 */
export const requestJson = {
  decode(bytes: Uint8Array = new Uint8Array()): string {
    const problem = inexactNumberProblem(bytes);
    if (problem !== undefined) throw malformed(problem);
    const text = utf8Text(bytes);
    if (mayBeCutInTwo.test(text)) checkJson(text);
    return text;
  },
};

/** Texts of which a parser may quote half of a character, which is no text that gRPC could send. */
const mayBeCutInTwo = /[\ud800-\udfff]|\\u/;

/** Throws what Connect itself would throw for JSON that cannot be read, as text that can be sent. */
function checkJson(text: string): void {
  try {
    fromJsonString(EmptySchema, text, { ignoreUnknownFields: true });
  } catch (error) {
    throw malformed((error instanceof Error ? error.message : `${error}`).toWellFormed());
  }
}

function utf8Text(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw malformed("the request is not UTF-8, which JSON is written in");
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function malformed(message: string): Error {
  return refusalError({ reason: "MALFORMED_REQUEST", message });
}
