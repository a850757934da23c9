import { createHmac } from "node:crypto";
import type { ReceivedRequest } from "../support/receiver.ts";

/** Whether a delivery carries Layer's signature, as the documents tell receivers to check it: HMAC-SHA1 over the body, in hexadecimal. */
export function isSignedByLayer({ headers, body }: ReceivedRequest, secret: string): boolean {
  return headers["layer-webhook-signature"] === createHmac("sha1", secret).update(body).digest("hex");
}

/** The same by receivers whose framework has parsed the body already: they write it again before they compute the HMAC. */
export function isSignedByLayerOnceParsed(request: ReceivedRequest, secret: string): boolean {
  return isSignedByLayer({ ...request, body: JSON.stringify(JSON.parse(request.body)) }, secret);
}
