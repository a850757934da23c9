import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { createClient, type Transport } from "@connectrpc/connect";
import { OrganizationService } from "../../gen/tellwire/v1/organization_service_pb.ts";
import { type WebhookImport, WebhookImportOutcome } from "../../gen/tellwire/v1/webhook_import_pb.ts";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import { parseId } from "../domain/ids.ts";
import { refusalOfCall, refusalOfStatus } from "./import/import-failure.ts";
import { readImportLine } from "./import/import-line.ts";
import { importOrganization } from "./import/import-organization.ts";
import { createImportReport, type LineOutcome } from "./import/import-report.ts";

export interface ImportOptions {
  /** Lines of JSON; see readImportLine. */
  input: Readable;
  /** To a Tellwire, with an operator's key. */
  transport: Transport;
  /** Only say what would come of it. */
  dryRun: boolean;
  print: (text: string) => void;
}

/**
 * Takes over organizations and webhooks of another system through the API, line by line, and prints what came of them. Returns how many lines
 * were refused; the others are imported all the same. Throws where nothing more can be done, such as without an operator's key: what was
 * imported by then stays, and may be imported again.
 */
export async function importLines({ input, transport, dryRun, print }: ImportOptions): Promise<number> {
  const organizations = createClient(OrganizationService, transport);
  const webhooks = createClient(WebhookService, transport);
  const report = createImportReport(print);
  /** Organizations that an import would create: in a dry run, their webhooks do not find them. */
  const announced = new Set<string | undefined>();
  let batch: WaitingImport[] = [];
  let batchLength = 0;

  async function sendBatch(): Promise<void> {
    if (batch.length === 0) return;
    const sent = batch;
    batch = [];
    batchLength = 0;
    const imports = sent.map(({ webhookImport }) => webhookImport);
    const { results } = await webhooks
      .importWebhooks({ imports, validateOnly: dryRun })
      .catch((error) => Promise.reject(refusalOfCall(error, sent[0]?.line ?? 0)));
    for (const [index, { line, webhookImport }] of sent.entries()) {
      const result = results[index];
      const outcome = result === undefined ? undefined : outcomes[result.outcome];
      if (outcome !== undefined) {
        report.count("webhooks", outcome);
        continue;
      }
      const { reason, text } = refusalOfStatus(result?.error);
      if (reason === "ORGANIZATION_NOT_FOUND" && announced.has(organizationOf(webhookImport))) {
        report.count("webhooks", "imported");
      } else {
        report.refuse("webhooks", { line, what: result?.webhookId ?? "", reason: text });
      }
    }
  }

  async function take(text: string, line: number): Promise<void> {
    const read = readImportLine(text);
    // Whatever comes between webhooks waits for those before it: an organization because they may be refused without it, a refusal so that
    // the report is in the order of the lines.
    switch (read.kind) {
      case "unreadable":
        await sendBatch();
        report.refuse("lines", { line, what: "", reason: read.reason });
        return;
      case "organization": {
        await sendBatch();
        const { id } = read.organization;
        const imported = await importOrganization(organizations, read.organization, { dryRun, line });
        if (imported.outcome === "refused") report.refuse("organizations", { line, what: id, reason: imported.reason });
        else report.count("organizations", imported.outcome);
        if (dryRun && imported.outcome === "imported") announced.add(parseId("organization", id));
        return;
      }
      case "webhook":
        batch.push({ line, webhookImport: read.webhookImport });
        batchLength += text.length;
        if (batch.length >= maxBatch || batchLength >= maxBatchLength) await sendBatch();
    }
  }

  if (dryRun) print("nothing is changed: this only says what an import would do\n");
  let line = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1;
    // A byte order mark may stand before the first line.
    const trimmed = text.replace(/^\uFEFF/, "").trim();
    if (trimmed !== "") await take(trimmed, line);
  }
  await sendBatch();
  return report.finish();
}

/** The lines of a file; `-`: of standard input. Throws what the system says where the file cannot be opened. */
export async function openImportFile(path: string): Promise<Readable> {
  return path === "-" ? process.stdin : (await open(path)).createReadStream();
}

/** Well below what a server takes in one request (500 webhooks, 4 MiB). */
const maxBatch = 100;
const maxBatchLength = 1024 * 1024;

interface WaitingImport {
  line: number;
  webhookImport: WebhookImport;
}

function organizationOf({ webhook }: WebhookImport): string | undefined {
  return parseId("organization", webhook?.organizationId ?? "");
}

/** Without those that need a reason. */
const outcomes: Readonly<Partial<Record<WebhookImportOutcome, Exclude<LineOutcome, "refused">>>> = {
  [WebhookImportOutcome.IMPORTED]: "imported",
  [WebhookImportOutcome.UPDATED]: "updated",
  [WebhookImportOutcome.UNCHANGED]: "unchanged",
};
