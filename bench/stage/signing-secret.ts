import { hash } from "node:crypto";

/** The signing secret of the webhook with this path. Whoever knows the path knows the secret, so that the receiver can check any signature. */
export function signingSecretOf(path: string): string {
  return `whsec_${hash("sha256", path, "base64")}`;
}
