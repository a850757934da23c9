import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AuditService } from "../../gen/tellwire/v1/audit_service_pb.ts";
import { DeliveryStatus } from "../../gen/tellwire/v1/delivery_pb.ts";
import { DeliveryService } from "../../gen/tellwire/v1/delivery_service_pb.ts";
import { EventService } from "../../gen/tellwire/v1/event_service_pb.ts";
import { OrganizationService } from "../../gen/tellwire/v1/organization_service_pb.ts";
import { RecoveryScope, RecoveryStatus } from "../../gen/tellwire/v1/recovery_pb.ts";
import { VerificationMethod } from "../../gen/tellwire/v1/webhook_pb.ts";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import { waitForRoomInDay } from "../support/day.ts";
import type { TellwireProcess } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";
import { codeName } from "./matrix-outcome.ts";

/** What the cases of the matrix find, and make for themselves: two organizations, and what belongs to them. */
export interface World {
  operatorKey: string;
  /** The organization that calls. */
  own: Tenant;
  /** The organization that it must not see. */
  other: Tenant;
  /** A new active webhook of the organization, whose receiver answers everything with 200. */
  webhook(tenant?: Tenant): Promise<string>;
  /** One whose receiver has to prove that it wants to be called, which it does when asked. */
  challengedWebhook(): Promise<string>;
  pausedWebhook(tenant?: Tenant): Promise<string>;
  /** A new event that is on record. */
  event(tenant?: Tenant): Promise<string>;
  /** A delivery that has arrived, or one that waits because its webhook is paused. */
  delivered(tenant?: Tenant): Promise<string>;
  waiting(tenant?: Tenant): Promise<string>;
  /** A recovery of a new webhook that has ended, or one that was cancelled. */
  recovery(tenant?: Tenant): Promise<string>;
  cancelledRecovery(): Promise<string>;
  /** A recovery that waits, and can be cancelled. */
  runningRecovery(): Promise<string>;
  /** The audit entry of the creation of a new webhook. */
  auditEntry(tenant?: Tenant): Promise<string>;
  organization(): Promise<string>;
  /** An organization with an event whose count is on record, and in which nothing happens any more. The same one each time. */
  countedOrganization(): Promise<string>;
  apiKey(organizationId: string): Promise<string>;
  /** A word that nothing else has: a project or an event type for lists of one. */
  word(): string;
  receiverUrl: string;
}

export interface Tenant {
  id: string;
  key: string;
}

/** `WebhookService/CreateWebhook`, and `OK` or the code of the error. */
export type OnCall = (rpc: string, code: string) => void;

type Clients = ReturnType<typeof openClients>;

/** Makes the two organizations, with the operator's key. `onCall` hears of each call that the preparations make, and of its code. */
export async function createWorld(tellwire: TellwireProcess, receiverUrl: string, onCall: OnCall): Promise<World> {
  const clients = openClients(tellwire, onCall);
  const { organizations } = clients;
  const tenant = async (name: string): Promise<Tenant> => {
    const { organization } = await organizations.createOrganization({ organization: { name } });
    const id = organization?.id ?? "";
    return { id, key: (await organizations.createApiKey({ organizationId: id, apiKey: { name: "matrix" } })).key };
  };
  const own = await tenant("Own");
  const other = await tenant("Other");
  let words = 0;
  const word = () => `word${++words}`;
  const webhook = async (of: Tenant = own, eventTypes = ["nothing"]): Promise<string> => {
    const verification = { method: VerificationMethod.VOUCHED };
    const created = await clients.webhooks.createWebhook({
      webhook: { organizationId: of.id, url: receiverUrl, eventTypes, verification },
    });
    return created.webhook?.id ?? "";
  };
  const pausedWebhook = async (of: Tenant = own, eventTypes = ["nothing"]): Promise<string> => {
    const id = await webhook(of, eventTypes);
    await clients.webhooks.pauseWebhook({ id });
    return id;
  };
  // It is about the events of this moment, and waits some seconds for them to be on record; then for the webhook, for as long as that is paused.
  const runningRecovery = async (): Promise<string> => {
    const webhookId = await webhook();
    const id = await recover(clients, webhookId, RecoveryScope.NEVER_SENT, Date.now() - 5);
    await clients.webhooks.pauseWebhook({ id: webhookId });
    return id;
  };
  let counted: Promise<string> | undefined;
  const countOne = async (): Promise<string> => {
    await waitForRoomInDay(60_000);
    // A count with a limit is written soon.
    const limits = { maxEventsPerDay: 1_000n };
    const { organization } = await organizations.createOrganization({ organization: { name: "Counted", limits } });
    const organizationId = organization?.id ?? "";
    await publish(clients, { id: organizationId, key: "" }, "unheard");
    await waitFor(
      async () => (await organizations.getOrganizationUsage({ organizationId })).usage?.eventsToday?.used === 1n,
      {
        what: "the count of an event",
      },
    );
    return organizationId;
  };
  return {
    operatorKey: tellwire.operatorKey,
    own,
    other,
    receiverUrl,
    word,
    webhook: (of) => webhook(of),
    pausedWebhook: (of) => pausedWebhook(of),
    async challengedWebhook() {
      const webhook = { organizationId: own.id, url: receiverUrl, eventTypes: ["nothing"] };
      return (await clients.webhooks.createWebhook({ webhook })).webhook?.id ?? "";
    },
    event: (of = own) => publish(clients, of, "unheard"),
    async delivered(of = own) {
      const type = word();
      const webhookId = await webhook(of, [type]);
      await publish(clients, of, type);
      return await findDelivery(clients, webhookId, DeliveryStatus.DELIVERED);
    },
    async waiting(of = own) {
      const type = word();
      const webhookId = await pausedWebhook(of, [type]);
      await publish(clients, of, type);
      return await findDelivery(clients, webhookId, DeliveryStatus.SCHEDULED);
    },
    async recovery(of = own) {
      const id = await recover(clients, await webhook(of));
      await waitFor(
        async () => {
          const { recovery } = await clients.deliveries.getRecovery({ id });
          return recovery?.status === RecoveryStatus.COMPLETED;
        },
        { what: "the end of a recovery" },
      );
      return id;
    },
    runningRecovery,
    async cancelledRecovery() {
      const id = await runningRecovery();
      await clients.deliveries.cancelRecovery({ id });
      return id;
    },
    async auditEntry(of = own) {
      const resourceId = await webhook(of);
      return (await clients.audit.listAuditEntries({ resourceId })).auditEntries[0]?.id ?? "";
    },
    async organization() {
      const { organization } = await organizations.createOrganization({ organization: { name: "Another" } });
      return organization?.id ?? "";
    },
    countedOrganization: () => (counted ??= countOne()),
    async apiKey(organizationId) {
      const { apiKey } = await organizations.createApiKey({ organizationId, apiKey: { name: "spare" } });
      return apiKey?.id ?? "";
    },
  };
}

function openClients({ httpUrl, operatorKey }: TellwireProcess, onCall: OnCall) {
  const transport = createConnectTransport({
    baseUrl: httpUrl,
    httpVersion: "1.1",
    interceptors: [
      (next) => async (request) => {
        request.header.set("x-api-key", operatorKey);
        const rpc = `${request.service.name}/${request.method.name}`;
        try {
          const response = await next(request);
          onCall(rpc, "OK");
          return response;
        } catch (error) {
          onCall(rpc, codeName(ConnectError.from(error).code));
          throw error;
        }
      },
    ],
  });
  return {
    webhooks: createClient(WebhookService, transport),
    events: createClient(EventService, transport),
    deliveries: createClient(DeliveryService, transport),
    organizations: createClient(OrganizationService, transport),
    audit: createClient(AuditService, transport),
  };
}

async function publish({ events }: Clients, { id: organizationId }: Tenant, type: string): Promise<string> {
  const dataJson = Buffer.from("{}");
  const { eventId } = await events.publishEvent({ event: { organizationId, type, dataJson } });
  await waitFor(() => isOnRecord(events, eventId), { what: "the event" });
  return eventId;
}

async function isOnRecord(events: Client<typeof EventService>, id: string): Promise<boolean> {
  return await events.getEvent({ id }).then(
    () => true,
    () => false,
  );
}

async function recover(
  { deliveries }: Clients,
  webhookId: string,
  scope: RecoveryScope = RecoveryScope.FAILED,
  since = 0,
): Promise<string> {
  const sinceTime = timestampFromDate(new Date(since));
  const { recovery } = await deliveries.recoverDeliveries({ webhookId, scope, sinceTime });
  return recovery?.id ?? "";
}

async function findDelivery({ deliveries }: Clients, webhookId: string, status: DeliveryStatus): Promise<string> {
  const found = await waitFor(
    async () => (await deliveries.listDeliveries({ webhookId, statuses: [status] })).deliveries[0],
    { what: `a delivery of ${webhookId}` },
  );
  return found.id;
}
