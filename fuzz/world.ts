import { createRestClient, type RestClient } from "../test/support/rest-client.ts";

/** What requests may name: keys that open something, and things that are there. */
export interface World {
  operatorKey: string;
  /** Of the first organization. It is not among `keyIds`, so that nothing revokes it. */
  organizationKey: string;
  receiverUrl: string;
  /** Public ids and UUIDs, by kind. */
  organizations: string[];
  webhooks: string[];
  events: string[];
  deliveries: string[];
  recoveries: string[];
  keyIds: string[];
  /** Removes what requests have made, and makes anew what they may have deleted. */
  refresh(): Promise<void>;
}

/** Makes two organizations with a few things each. */
export async function createWorld(options: {
  httpUrl: string;
  operatorKey: string;
  receiverUrl: string;
}): Promise<World> {
  const rest = createRestClient(options.httpUrl, options.operatorKey);
  const organizations: string[] = [];
  for (const name of ["Fuzzed", "Neighbour"]) {
    organizations.push((await rest<{ id: string }>("POST", "/v1/organizations", { name })).id);
  }
  const { key } = await addKey(rest, organizations[0] ?? "");
  const world: World = {
    operatorKey: options.operatorKey,
    organizationKey: key,
    receiverUrl: options.receiverUrl,
    organizations,
    webhooks: [],
    events: [],
    deliveries: [],
    recoveries: [],
    keyIds: [],
    refresh: () => refresh(world, rest),
  };
  await world.refresh();
  return world;
}

async function refresh(world: World, rest: RestClient): Promise<void> {
  for (const organizationId of world.organizations) {
    await deleteWebhooks(rest, organizationId);
  }
  world.webhooks = [];
  world.keyIds = [];
  world.events = [];
  world.recoveries = [];
  for (const organizationId of world.organizations) {
    world.keyIds.push((await addKey(rest, organizationId)).id);
    for (const format of ["STANDARD", "VERIFIK", "LAYERS", "LAYER_1_0", "CLOUDEVENTS_BINARY"]) {
      world.webhooks.push(await addWebhook(rest, { organizationId, url: world.receiverUrl, format }));
    }
    const event = { organizationId, type: "fuzz.seen", data: { n: 1 } };
    world.events.push((await rest<{ eventId: string }>("POST", "/v1/events", event)).eventId);
  }
  const recovery = { scope: "RECOVERY_SCOPE_FAILED", sinceTime: "2026-01-01T00:00:00Z" };
  const [webhook = ""] = world.webhooks;
  world.recoveries.push((await rest<{ id: string }>("POST", `/v1/webhooks/${webhook}:recover`, recovery)).id);
  const listed = await rest<{ deliveries?: { id: string }[] }>("GET", "/v1/deliveries?pageSize=20");
  world.deliveries = (listed.deliveries ?? []).map(({ id }) => id);
}

async function addKey(rest: RestClient, organizationId: string): Promise<{ key: string; id: string }> {
  type Created = { key: string; apiKey: { id: string } };
  const created = await rest<Created>("POST", `/v1/organizations/${organizationId}/api-keys`, { name: "fuzz" });
  return { key: created.key, id: created.apiKey.id };
}

async function addWebhook(
  rest: RestClient,
  { organizationId, url, format }: { organizationId: string; url: string; format: string },
): Promise<string> {
  const webhook = {
    organizationId,
    url,
    format: `WEBHOOK_FORMAT_${format}`,
    eventTypes: ["fuzz.*"],
    verification: { method: "VERIFICATION_METHOD_VOUCHED" },
  };
  return (await rest<{ webhook: { id: string } }>("POST", "/v1/webhooks", webhook)).webhook.id;
}

async function deleteWebhooks(rest: RestClient, organizationId: string): Promise<void> {
  type Listed = { webhooks?: { id: string }[] };
  for (;;) {
    const path = `/v1/webhooks?organizationId=${organizationId}&pageSize=200`;
    const { webhooks = [] } = await rest<Listed>("GET", path);
    if (webhooks.length === 0) return;
    for (const { id } of webhooks) await rest("DELETE", `/v1/webhooks/${id}`);
  }
}
