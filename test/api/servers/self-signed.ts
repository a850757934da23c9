import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TlsIdentity } from "../../../src/api/servers/server-tls.ts";
import { makeTemporaryFolder } from "../../support/temporary-folder.ts";

/** A new certificate for localhost and 127.0.0.1, signed by its own key. Throws where the program openssl is not installed. */
export function createSelfSigned(): TlsIdentity {
  const folder = makeTemporaryFolder("tls");
  const key = join(folder.path, "key.pem");
  const cert = join(folder.path, "cert.pem");
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key];
  try {
    execFileSync("openssl", ["req", "-x509", "-days", "2", ...newKey, "-out", cert, ...subject], { stdio: "pipe" });
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  } catch (cause) {
    throw new Error("openssl cannot make a certificate; where it is missing, install it (apt-get install openssl)", {
      cause,
    });
  } finally {
    folder.remove();
  }
}
