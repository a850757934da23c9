import { fromJson } from "@bufbuild/protobuf";
import { timestampFromDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RecoveryScope } from "../../gen/tellwire/v1/recovery_pb.ts";
import { VerificationMethod, WebhookFormat } from "../../gen/tellwire/v1/webhook_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { peer } from "../support/principals.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { type Clients, errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
let receiver: Receiver;
let organizationId: string;
/** Somebody with a key of the whole organization, and somebody who is kept to the project `mine`. */
let whole: Clients;
let kept: Clients;
/** Webhooks by their projects, each with a delivery, its event, and a recovery. */
const things: Record<string, Things> = {};

interface Things {
  webhook: string;
  delivery: string;
  recovery: string;
}

const data = fromJson(ValueSchema, {});

beforeAll(async () => {
  api = await startApi();
  receiver = await startReceiver();
  const organization = await api.addOrganization();
  organizationId = organization.id;
  whole = organization.clients;
  kept = api.clients({ "x-api-key": (await newKey(whole, "mine")).key });
  for (const projects of ["mine", "mine,yours", "yours", ""]) {
    const { webhook } = await api.operator.webhooks.createWebhook({
      webhook: webhookFor(receiver.url, {
        organizationId,
        projectIds: projects.split(",").filter(Boolean),
        verification: { method: VerificationMethod.VOUCHED },
      }),
    });
    const { deliveryId } = await whole.webhooks.testWebhook({ id: webhook!.id });
    const sinceTime = timestampFromDate(new Date(0));
    const request = { webhookId: webhook!.id, scope: RecoveryScope.FAILED, sinceTime };
    const { recovery } = await whole.deliveries.recoverDeliveries(request);
    things[projects] = { webhook: webhook!.id, delivery: deliveryId, recovery: recovery!.id };
  }
});
afterAll(async () => {
  await api.close();
  await receiver.close();
});

async function newKey(by: Clients, projectId = "") {
  return await by.organizations.createApiKey({ organizationId, apiKey: { name: "of a project", projectId } });
}

/** Calls about a webhook and what belongs to it, that read. */
const reads: Record<string, (clients: Clients, of: Things) => Promise<unknown>> = {
  GetWebhook: (c, { webhook }) => c.webhooks.getWebhook({ id: webhook }),
  GetDelivery: (c, { delivery }) => c.deliveries.getDelivery({ id: delivery }),
  GetRecovery: (c, { recovery }) => c.deliveries.getRecovery({ id: recovery }),
};

/** And that change something, or make something happen. */
const changes: Record<string, (clients: Clients, of: Things) => Promise<unknown>> = {
  UpdateWebhook: (c, { webhook }) => c.webhooks.updateWebhook({ webhook: { id: webhook, description: "new" } }),
  RotateWebhookSecret: (c, { webhook }) => c.webhooks.rotateWebhookSecret({ id: webhook }),
  TestWebhook: (c, { webhook }) => c.webhooks.testWebhook({ id: webhook }),
  VerifyWebhook: (c, { webhook }) => c.webhooks.verifyWebhook({ id: webhook }),
  PauseWebhook: (c, { webhook }) => c.webhooks.pauseWebhook({ id: webhook }),
  ResumeWebhook: (c, { webhook }) => c.webhooks.resumeWebhook({ id: webhook }),
  RetryDelivery: (c, { delivery }) => c.deliveries.retryDelivery({ id: delivery }),
  CancelDelivery: (c, { delivery }) => c.deliveries.cancelDelivery({ id: delivery }),
  RecoverDeliveries: (c, { webhook }) =>
    c.deliveries.recoverDeliveries({
      webhookId: webhook,
      scope: RecoveryScope.NEVER_SENT,
      sinceTime: timestampFromDate(new Date(0)),
    }),
  CancelRecovery: (c, { recovery }) => c.deliveries.cancelRecovery({ id: recovery }),
  DeleteWebhook: (c, { webhook }) => c.webhooks.deleteWebhook({ id: webhook }),
};

describe("somebody who is kept to a project", () => {
  for (const projects of ["yours", ""]) {
    it.each(Object.entries({ ...reads, ...changes }))(
      `does not find what is of ${projects || "no project"}: %s`,
      async (_name, call) => {
        expect((await errorOf(call(kept, things[projects]!))).code).toBe(Code.NotFound);
      },
    );
  }

  it.each(Object.entries(reads))("sees what is of its project and another: %s", async (_name, call) => {
    await call(kept, things["mine,yours"]!);
  });

  it.each(Object.entries(changes))("changes nothing that is of another project too: %s", async (_name, call) => {
    expect(await errorOf(call(kept, things["mine,yours"]!))).toMatchObject({
      reason: "WHOLE_ORGANIZATION_REQUIRED",
      code: Code.PermissionDenied,
    });
  });

  it("lists what is of its project alone", async () => {
    const seen = [things.mine!, things["mine,yours"]!];
    const { webhooks } = await kept.webhooks.listWebhooks({});
    expect(webhooks.map(({ id }) => id).sort()).toEqual(seen.map(({ webhook }) => webhook).sort());
    const { deliveries } = await kept.deliveries.listDeliveries({});
    expect(deliveries.map(({ id }) => id).sort()).toEqual(seen.map(({ delivery }) => delivery).sort());
    const { recoveries } = await kept.deliveries.listRecoveries({});
    expect(recoveries.map(({ id }) => id).sort()).toEqual(seen.map(({ recovery }) => recovery).sort());
    const yours = things.yours!.webhook;
    expect((await kept.deliveries.listDeliveries({ webhookId: yours })).deliveries).toEqual([]);
    expect((await kept.deliveries.listRecoveries({ webhookId: yours })).recoveries).toEqual([]);
  });

  it("is not told which other projects there are, by what it shares with them neither", async () => {
    const shared = things["mine,yours"]!.webhook;
    expect((await whole.webhooks.getWebhook({ id: shared })).webhook?.projectIds).toEqual(["mine", "yours"]);
    expect((await kept.webhooks.getWebhook({ id: shared })).webhook?.projectIds).toEqual(["mine"]);
    const { webhooks } = await kept.webhooks.listWebhooks({});
    expect(webhooks.map(({ projectIds }) => projectIds)).toEqual([["mine"], ["mine"]]);
    expect((await kept.webhooks.listWebhooks({ projectId: "mine" })).webhooks).toEqual(webhooks);
    expect((await kept.webhooks.listWebhooks({ projectId: "yours" })).webhooks).toEqual([]);
    const { webhooks: yours } = await whole.webhooks.listWebhooks({ projectId: "yours" });
    expect(yours.map(({ id }) => id)).toContain(shared);
  });

  it("creates webhooks of its project, and moves none out of it", async () => {
    const { webhook } = await kept.webhooks.createWebhook({ webhook: webhookFor(receiver.url) });
    expect(webhook!.projectIds).toEqual(["mine"]);
    const elsewhere = webhookFor(receiver.url, { projectIds: ["mine", "yours"] });
    expect((await errorOf(kept.webhooks.createWebhook({ webhook: elsewhere }))).reason).toBe("PROJECT_NOT_FOUND");
    const moved = kept.webhooks.updateWebhook({ webhook: { id: webhook!.id, projectIds: ["yours"] } });
    expect((await errorOf(moved)).reason).toBe("PROJECT_NOT_FOUND");
    const { webhook: emptied } = await kept.webhooks.updateWebhook({
      webhook: { id: webhook!.id },
      updateMask: { paths: ["project_ids"] },
    });
    expect(emptied!.projectIds).toEqual(["mine"]);
    await kept.webhooks.deleteWebhook({ id: webhook!.id });
  });

  it("publishes events of its project, and reads no others", async () => {
    const published: string[] = [];
    for (const projectId of ["", "mine"]) {
      const { eventId } = await kept.events.publishEvent({ event: { type: "a", data, projectId } });
      published.push(eventId);
    }
    const foreign = kept.events.publishEvent({ event: { type: "a", data, projectId: "yours" } });
    expect((await errorOf(foreign)).reason).toBe("PROJECT_NOT_FOUND");
    const { eventId } = await kept.webhooks.testWebhook({ id: things.mine!.webhook });
    expect((await kept.events.getEvent({ id: eventId })).event?.projectId).toBe("mine");
    expect((await kept.events.listEvents({})).events.map(({ id }) => id)).toEqual([eventId]);
    const { deliveries } = await whole.deliveries.listDeliveries({ webhookId: things[""]!.webhook });
    const theirs = deliveries[0]!.eventId;
    expect((await whole.events.getEvent({ id: theirs })).event).toBeDefined();
    expect((await errorOf(kept.events.getEvent({ id: theirs }))).reason).toBe("EVENT_NOT_FOUND");
  });

  it("sees of its organization's projects and keys its own", async () => {
    await api.operator.organizations.updateOrganization({
      organization: { id: organizationId, projectIds: ["mine", "yours"] },
    });
    const { organization } = await kept.organizations.getOrganization({ id: organizationId });
    expect(organization?.projectIds).toEqual(["mine"]);
    const { organizations } = await kept.organizations.listOrganizations({});
    expect(organizations.map(({ projectIds }) => projectIds)).toEqual([["mine"]]);

    const { apiKey } = await newKey(kept);
    expect(apiKey?.projectId).toBe("mine");
    expect((await errorOf(newKey(kept, "yours"))).reason).toBe("PROJECT_NOT_FOUND");
    expect((await errorOf(newKey(whole, "nobody's"))).reason).toBe("PROJECT_NOT_FOUND");
    const theirs = (await newKey(whole, "yours")).apiKey!;
    const { apiKeys } = await kept.organizations.listApiKeys({ organizationId });
    expect(new Set(apiKeys.map(({ projectId }) => projectId))).toEqual(new Set(["mine"]));
    const revoked = kept.organizations.revokeApiKey({ organizationId, id: theirs.id });
    expect((await errorOf(revoked)).reason).toBe("API_KEY_NOT_FOUND");
    await kept.organizations.revokeApiKey({ organizationId, id: apiKey!.id });
  });

  it("does not get to know the secret of a webhook that is of another project too", async () => {
    for (const [projectIds, isShown] of [
      [["mine"], true],
      [["mine", "yours"], false],
    ] as const) {
      const { webhook } = await whole.webhooks.createWebhook({
        webhook: webhookFor(receiver.url, {
          projectIds: [...projectIds],
          format: WebhookFormat.VERIFIK,
          name: projectIds.join(),
          verification: { method: VerificationMethod.NONE },
        }),
      });
      const target = { id: parseId("webhook", webhook!.id)!, organizationId: undefined };
      const principal = await api.useCases.authenticate({ ...peer, keyText: (await newKey(whole, "mine")).key });
      expect((await api.useCases.webhooks.readSecret(principal, target)) !== undefined).toBe(isShown);
    }
  });

  it("counts what it sees alone, where pages have numbers", async () => {
    const principal = await api.useCases.authenticate({ ...peer, keyText: (await newKey(whole, "mine")).key });
    const pages = async (projectId: string) => {
      const filters = { organizationId: undefined, formats: ["STANDARD"] as const, statuses: [], projectId };
      return await api.useCases.webhooks.listByOffset(principal, filters, { offset: 0, limit: 1 });
    };
    for (const projectId of ["", "mine"]) {
      const { records, total } = await pages(projectId);
      expect([records.map(({ webhook }) => webhook.projectIds), total]).toEqual([[["mine"]], 2]);
    }
    expect(await pages("yours")).toEqual({ records: [], total: 0 });
  });

  it("changes what is of its project alone", async () => {
    for (const [name, change] of Object.entries(changes)) {
      const thrown = await change(kept, things.mine!).then(
        () => undefined,
        (error: unknown) => errorOf(Promise.reject(error)),
      );
      // Some do not fit what came before; none is a matter of access.
      const { reason } = (await thrown) ?? { reason: "none" };
      expect([name, reason]).not.toEqual([name, "WHOLE_ORGANIZATION_REQUIRED"]);
      expect([name, reason]).not.toEqual([name, "WEBHOOK_NOT_FOUND"]);
    }
  });
});
