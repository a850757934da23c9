import { type AccessChannel, createAccessChannel } from "./access-channel.ts";
import { type ActivateWebhook, createActivateWebhook } from "./activate-webhook.ts";
import { createApiKeyAuthenticator } from "./api-key-authenticator.ts";
import { createAuditTrail } from "./audit-trail.ts";
import type { Authenticate } from "./authenticate.ts";
import type { CallLimits } from "./call-limits.ts";
import { type CancelDelivery, createCancelDelivery } from "./cancel-delivery.ts";
import { createTransact } from "./changes.ts";
import { type CreateWebhook, createCreateWebhook } from "./create-webhook.ts";
import { createDeleteWebhook, type DeleteWebhook } from "./delete-webhook.ts";
import type { Dependencies } from "./dependencies.ts";
import { createDisableWebhook, type DisableWebhook } from "./disable-webhook.ts";
import { createFailingWebhookWorker, type FailingWebhookWorker } from "./failing-webhook-worker.ts";
import { createRunIdempotently, type RunIdempotently } from "./idempotency.ts";
import { createIdempotencyCleaner, type IdempotencyCleaner } from "./idempotency-cleaner.ts";
import { createIdentities } from "./identities.ts";
import { createImportWebhook, type ImportWebhook } from "./import-webhook.ts";
import { createKeyUsage, type KeyUsage } from "./key-usage.ts";
import { createKeys, type Keys } from "./keys.ts";
import { createLimits } from "./limits.ts";
import { createListWebhooksByOffset, type ListWebhooksByOffset } from "./list-webhooks-by-offset.ts";
import { createOperationalEventRelay, type OperationalEventRelay } from "./operational-event-relay.ts";
import { createReadOrganizationUsage, type ReadOrganizationUsage } from "./organization-usage.ts";
import { createOrganizations, type Organizations } from "./organizations.ts";
import { createPauseWebhook, type PauseWebhook } from "./pause-webhook.ts";
import type { PortalTokens } from "./portal-tokens.ts";
import { createPublishEvents, type PublishEvents } from "./publish-events.ts";
import { createPublishInOrder, type PublishInOrder } from "./publish-in-order.ts";
import { createPublishedKeys, type PublishedKeys } from "./published-keys.ts";
import type { PublishingLimits } from "./publishing-limits.ts";
import { createReadAudit, type ReadAudit } from "./read-audit.ts";
import { createReadDeliveries, type ReadDeliveries } from "./read-deliveries.ts";
import { createReadDeliveryLog, type ReadDeliveryLog } from "./read-delivery-log.ts";
import { createReadEvents, type ReadEvents } from "./read-events.ts";
import { createReadSecret, type ReadSecret } from "./read-secret.ts";
import { createReadWebhooks, type ReadWebhooks } from "./read-webhooks.ts";
import { createRecoveries, type Recoveries } from "./recoveries.ts";
import { createRecoveryWorker, type RecoveryWorker } from "./recovery-worker.ts";
import { createResumeWebhook, type ResumeWebhook } from "./resume-webhook.ts";
import { createRetryDelivery, type RetryDelivery } from "./retry-delivery.ts";
import { createRotateSecret, type RotateSecret } from "./rotate-secret.ts";
import { createSendToWebhook, type SendToWebhook } from "./send-to-webhook.ts";
import { createSetWebhookStatus, type SetWebhookStatus } from "./set-webhook-status.ts";
import { createStatisticsWorker, type StatisticsWorker } from "./statistics-worker.ts";
import { createTestWebhook, type TestWebhook } from "./test-webhook.ts";
import { createUpdateWebhook, type UpdateWebhook } from "./update-webhook.ts";
import { createVerificationWorker, type VerificationWorker } from "./verification-worker.ts";
import { createVerifyWebhook, type VerifyWebhook } from "./verify-webhook.ts";
import { createClearWaiting } from "./webhook-activation.ts";

/** What the service does. Every front door calls these, with ids as UUIDs, and every failure that they name is a TellwireError. */
export interface UseCases {
  authenticate: Authenticate;
  /** Whoever runs the process starts it before anything else, and stops it last. */
  accessChannel: AccessChannel;
  /** Whoever runs the process starts and stops it. */
  keyUsage: KeyUsage;
  /** Asked by the front doors for every call, right after `authenticate`. */
  callLimits: CallLimits;
  /** Called by whoever runs the process, when no more calls come: other processes hear no more of them. */
  stopSharingLimits(): void;
  /** Counts what is published here, and what publishers on NATS send; whoever runs the process starts and stops it. */
  publishingLimits: PublishingLimits;
  keys: Keys;
  portalTokens: PortalTokens;
  organizations: Organizations & { usage: ReadOrganizationUsage };
  webhooks: ReadWebhooks & {
    create: CreateWebhook;
    update: UpdateWebhook;
    delete: DeleteWebhook;
    rotateSecret: RotateSecret;
    readSecret: ReadSecret;
    listByOffset: ListWebhooksByOffset;
    test: TestWebhook;
    verify: VerifyWebhook["verify"];
    pause: PauseWebhook;
    resume: ResumeWebhook;
    disable: DisableWebhook;
    activate: ActivateWebhook;
    import: ImportWebhook;
    setStatus: SetWebhookStatus;
    send: SendToWebhook["send"];
  };
  events: ReadEvents & { publish: PublishEvents; publishInOrder: PublishInOrder };
  deliveries: ReadDeliveries & {
    retry: RetryDelivery;
    cancel: CancelDelivery;
    replay: SendToWebhook["replay"];
    log: ReadDeliveryLog;
  };
  recoveries: Recoveries;
  audit: ReadAudit;
  /** For everybody, without a key. */
  publishedKeys: PublishedKeys;
  /** What front doors run the work of a call with an idempotency key in. */
  runIdempotently: RunIdempotently;
  /** Whoever runs the process starts and stops it. */
  idempotencyCleaner: IdempotencyCleaner;
  /** Makes the verifications that start by themselves; whoever runs the process starts and stops it. */
  verificationWorker: VerificationWorker;
  /** Carries out recoveries; whoever runs the process starts and stops it. */
  recoveryWorker: RecoveryWorker;
  /** Publishes events about Tellwire itself; whoever runs the process starts and stops it. */
  operationalEventRelay: OperationalEventRelay;
  /** Disables webhooks that only fail; whoever runs the process starts and stops it. */
  failingWebhookWorker: FailingWebhookWorker;
  /** Keeps the database's statistics close to the tables; whoever runs the process starts and stops it. */
  statisticsWorker: StatisticsWorker;
}

export function createUseCases(dependencies: Dependencies): UseCases {
  const { database, changes, ids } = dependencies;
  const accessChannel = createAccessChannel(database.sql);
  const limits = createLimits(dependencies, accessChannel);
  const { quotas } = limits;
  const transact = createTransact(database, changes);
  const audit = createAuditTrail(ids);
  const inTransaction = { transact, audit, now: ids.now };
  const clearWaiting = createClearWaiting({ database, now: ids.now });
  const organizations = createOrganizations({ database, ids, audit, limits: limits.ofOrganizations });
  const verifyWebhook = createVerifyWebhook(dependencies, { transact, audit });
  const verificationWorker = createVerificationWorker(dependencies, verifyWebhook);
  const wakeVerification = verificationWorker.wake;
  const recoveryWorker = createRecoveryWorker(dependencies);
  const publishing = { ...dependencies, organizations, publishingLimits: limits.publishing };
  const sendToWebhook = createSendToWebhook(dependencies, { transact, audit });
  const keyUsage = createKeyUsage(dependencies);
  const authenticator = createApiKeyAuthenticator({ database, ids, accessChannel, usage: keyUsage });
  const identities = createIdentities(dependencies, { organizations, apiKeys: authenticator, transact, audit });
  return {
    authenticate: limits.forLogins(identities.authenticate),
    portalTokens: identities.portalTokens,
    accessChannel,
    callLimits: limits.calls,
    stopSharingLimits: limits.stopSharing,
    publishingLimits: limits.publishing,
    keyUsage,
    keys: createKeys({ database, organizations, quotas, ids, transact, audit, accessChannel, authenticator }),
    organizations: {
      ...organizations,
      usage: createReadOrganizationUsage(dependencies, { organizations, limits: limits.ofOrganizations }),
    },
    webhooks: {
      ...createReadWebhooks(dependencies, organizations),
      create: createCreateWebhook(dependencies, { organizations, quotas, transact, audit, wakeVerification }),
      update: createUpdateWebhook(dependencies, { organizations, transact, audit, clearWaiting, wakeVerification }),
      delete: createDeleteWebhook(inTransaction),
      rotateSecret: createRotateSecret(dependencies, { transact, audit }),
      readSecret: createReadSecret(dependencies, { audit }),
      listByOffset: createListWebhooksByOffset(dependencies, organizations),
      test: createTestWebhook(dependencies, { audit }),
      verify: verifyWebhook.verify,
      pause: createPauseWebhook(inTransaction),
      resume: createResumeWebhook({ ...inTransaction, clearWaiting }),
      disable: createDisableWebhook(inTransaction),
      activate: createActivateWebhook({ ...inTransaction, clearWaiting, wakeVerification }),
      import: createImportWebhook(dependencies, { organizations, quotas, transact, audit, wakeVerification }),
      setStatus: createSetWebhookStatus({ ...inTransaction, clearWaiting }),
      send: sendToWebhook.send,
    },
    events: {
      ...createReadEvents(dependencies, organizations),
      publish: createPublishEvents(publishing),
      publishInOrder: createPublishInOrder(publishing),
    },
    deliveries: {
      ...createReadDeliveries(dependencies, organizations),
      retry: createRetryDelivery(inTransaction),
      cancel: createCancelDelivery(inTransaction),
      replay: sendToWebhook.replay,
      log: createReadDeliveryLog(dependencies),
    },
    recoveries: createRecoveries(dependencies, { organizations, transact, audit, wakeRecovery: recoveryWorker.wake }),
    audit: createReadAudit(dependencies, organizations),
    publishedKeys: createPublishedKeys({ sql: database.sql, now: ids.now }),
    runIdempotently: createRunIdempotently(dependencies),
    idempotencyCleaner: createIdempotencyCleaner(dependencies),
    verificationWorker,
    recoveryWorker,
    operationalEventRelay: createOperationalEventRelay(dependencies),
    failingWebhookWorker: createFailingWebhookWorker(dependencies),
    statisticsWorker: createStatisticsWorker(dependencies),
  };
}
