import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ServerTls } from "../../src/api/servers/server-tls.ts";
import { readTlsFiles, type TlsConfig, type TlsWatch, watchTlsFiles } from "../../src/tls-files.ts";
import { makeTemporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

let folder: ReturnType<typeof makeTemporaryFolder>;
let config: TlsConfig;
let used: ServerTls[];
let lines: string[];
let isRefusing: boolean;
let watch: TlsWatch;
beforeEach(async () => {
  folder = makeTemporaryFolder("tls-files");
  config = {
    tls: { certPath: join(folder.path, "cert.pem"), keyPath: join(folder.path, "key.pem") },
    grpcClients: { caPath: join(folder.path, "ca.pem"), isRequired: true, identities: [] },
  };
  write({ cert: "cert-1", key: "key-1", ca: "ca-1" });
  used = [];
  lines = [];
  isRefusing = false;
  const current = await readTlsFiles(config);
  watch = watchTlsFiles({
    config,
    current: current!,
    use(tls) {
      if (isRefusing) throw new Error("these do not belong together");
      used.push(tls);
    },
    intervalMs: 5,
    log: {
      info: (_details, message) => void lines.push(`info ${message}`),
      error: (_details, message) => void lines.push(`error ${message}`),
    },
  });
});
afterEach(async () => {
  await watch.stop();
  folder.remove();
});

it("what is read is what the files hold", async () => {
  const clients = { ca: "ca-1", isRequired: true };
  expect(await readTlsFiles(config)).toEqual({ cert: "cert-1", key: "key-1", clients });
  expect(await readTlsFiles({ ...config, grpcClients: undefined })).toEqual({ cert: "cert-1", key: "key-1" });
  expect(await readTlsFiles({ tls: undefined, grpcClients: undefined })).toBeUndefined();
});

it("files that change are used once, without a restart", async () => {
  write({ cert: "cert-2", key: "key-2", ca: "ca-2" });
  // A look may come between the files.
  const second = { cert: "cert-2", key: "key-2", clients: { ca: "ca-2", isRequired: true } };
  await waitFor(() => JSON.stringify(used.at(-1)) === JSON.stringify(second), { what: "the new files" });
  const uses = used.length;
  write({ ca: "ca-3" });
  await waitFor(() => used.length > uses, { what: "the third authority" });
  // Later looks find nothing new.
  write({ ca: "ca-4" });
  await waitFor(() => used.at(-1)?.clients?.ca === "ca-4", { what: "the fourth authority" });
  expect(used.slice(uses).map(({ clients }) => clients?.ca)).toEqual(["ca-3", "ca-4"]);
});

it("files that cannot be used are said once, and looked at again when they change", async () => {
  isRefusing = true;
  write({ cert: "cert-2" });
  await waitFor(() => lines.length > 0, { what: "the refusal" });
  isRefusing = false;
  write({ key: "key-2" });
  await waitFor(() => used.length > 0, { what: "the pair" });
  expect(used).toMatchObject([{ cert: "cert-2", key: "key-2" }]);
  expect(lines.map((line) => line.split(" ")[0])).toEqual(["error", "info"]);
});

it("a file that is gone changes nothing, and is said once", async () => {
  rmSync(config.tls!.keyPath);
  await waitFor(() => lines.length > 0, { what: "the missing file" });
  write({ key: "key-2" });
  await waitFor(() => used.length > 0, { what: "the file that came back" });
  expect(lines.filter((line) => line.startsWith("error"))).toHaveLength(1);
});

it.each(["certPath", "keyPath", "caPath"] as const)(
  "a file that is not there at the start is named with its variable (%s)",
  async (which) => {
    const { tls, grpcClients } = config;
    const missing: TlsConfig =
      which === "caPath"
        ? { tls, grpcClients: { ...grpcClients!, caPath: "/nowhere/x.pem" } }
        : { tls: { ...tls!, [which]: "/nowhere/x.pem" }, grpcClients };
    await expect(readTlsFiles(missing)).rejects.toMatchObject({
      reason: "CONFIG_INVALID",
      message: expect.stringMatching(/^TELLWIRE_\w+: \/nowhere\/x\.pem cannot be read \(ENOENT\)$/),
    });
  },
);

function write({ cert, key, ca }: { cert?: string; key?: string; ca?: string }): void {
  if (cert !== undefined) replace(config.tls!.certPath, cert);
  if (key !== undefined) replace(config.tls!.keyPath, key);
  if (ca !== undefined) replace(config.grpcClients!.caPath, ca);
}

/** A look finds the old text or the new one, and no half of it. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
