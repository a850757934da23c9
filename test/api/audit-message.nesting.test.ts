import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { ListAuditEntriesResponseSchema } from "../../gen/tellwire/v1/audit_service_pb.ts";
import { auditEntryMessage } from "../../src/api/messages/audit-message.ts";
import type { AuditEntry } from "../../src/domain/audit-entry.ts";

const entry: AuditEntry = {
  id: "019a7b1e-0000-7000-8000-000000000001",
  organizationId: null,
  actor: { kind: "SYSTEM", id: "test" },
  origin: { address: null, userAgent: null, requestId: null },
  action: "webhook.create",
  resource: { type: "webhook", id: null },
  changedFields: [],
  before: null,
  after: null,
};

/** `{"a":{"a":…}}`, with so many levels of objects. */
const nested = (levels: number): object => (levels === 1 ? { a: 1 } : { a: nested(levels - 1) });

it.each([
  [24, nested(24)],
  [25, JSON.stringify(nested(25))],
  [64, JSON.stringify(nested(64))],
])("a config of %i levels is read by clients of the binary form too", (levels, config) => {
  const auditEntries = [
    auditEntryMessage({ ...entry, after: { url: "https://example.com/", config: nested(levels) } }),
  ];
  const bytes = toBinary(ListAuditEntriesResponseSchema, create(ListAuditEntriesResponseSchema, { auditEntries }));
  const read = fromBinary(ListAuditEntriesResponseSchema, bytes);
  expect(read.auditEntries[0]?.after).toEqual({ url: "https://example.com/", config });
});
