import { createTypeIndex, matchTypes } from "../domain/matching.ts";
import type { Subscription } from "./subscription.ts";

/** The webhooks of an organization that collect events. */
export interface OrganizationSubscriptions {
  /** How many they are. */
  readonly size: number;
  /** Those that want the event type, each once. */
  match(eventType: string): readonly Subscription[];
  readonly byId: { get(webhookId: string): Subscription | undefined };
}

export function organizationSubscriptions(subscriptions: readonly Subscription[]): OrganizationSubscriptions {
  if (subscriptions.length <= few) {
    return new FewSubscriptions(subscriptions);
  }
  return {
    size: subscriptions.length,
    match: createTypeIndex(subscriptions),
    byId: new Map(subscriptions.map((subscription) => [subscription.webhookId, subscription])),
  };
}

/** To look at so many is quicker than to ask an index, which takes some 150 bytes for each of them. */
const few = 16;

/** Most organizations have few webhooks, and a process may keep very many organizations: a class, because closures would take as much again. */
class FewSubscriptions implements OrganizationSubscriptions {
  readonly subscriptions: readonly Subscription[];

  constructor(subscriptions: readonly Subscription[]) {
    this.subscriptions = subscriptions;
  }

  get size(): number {
    return this.subscriptions.length;
  }

  get byId(): OrganizationSubscriptions["byId"] {
    return this;
  }

  match(eventType: string): readonly Subscription[] {
    return matchTypes(this.subscriptions, eventType);
  }

  get(wanted: string): Subscription | undefined {
    return this.subscriptions.find(({ webhookId }) => webhookId === wanted);
  }
}
