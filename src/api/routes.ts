import type { DescService } from "@bufbuild/protobuf";
import type { Validator } from "@bufbuild/protovalidate";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { AuditService } from "../../gen/tellwire/v1/audit_service_pb.ts";
import { DeliveryService } from "../../gen/tellwire/v1/delivery_service_pb.ts";
import { EventService } from "../../gen/tellwire/v1/event_service_pb.ts";
import { OrganizationService } from "../../gen/tellwire/v1/organization_service_pb.ts";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import type { UseCases } from "../usecases/use-cases.ts";
import { createAuditHandlers } from "./handlers/audit-handlers.ts";
import { createDeliveryHandlers } from "./handlers/delivery-handlers.ts";
import { createEventHandlers } from "./handlers/event-handlers.ts";
import { withIdempotencyKeys } from "./handlers/idempotency-keys.ts";
import { createOrganizationHandlers } from "./handlers/organization-handlers.ts";
import { createWebhookHandlers } from "./handlers/webhook-handlers.ts";
import type { OnServerError } from "./interceptors/error-interceptor.ts";

/** The services of tellwire.v1 on the use cases. They need the gate and the interceptors of createCallChecks before them. */
export function createRoutes(useCases: UseCases, options: RouteOptions): (router: ConnectRouter) => void {
  return (router) => {
    const register = <Service extends DescService>(service: Service, handlers: ServiceImpl<Service>): void => {
      router.service(service, withIdempotencyKeys(service, handlers, useCases.runIdempotently));
    };
    register(WebhookService, createWebhookHandlers(useCases, options));
    register(EventService, createEventHandlers(useCases, options));
    register(DeliveryService, createDeliveryHandlers(useCases));
    register(OrganizationService, createOrganizationHandlers(useCases));
    register(AuditService, createAuditHandlers(useCases));
  };
}

export interface RouteOptions {
  /** The one that the interceptors have. */
  validator: Validator;
  newRequestId: () => string;
  onServerError: OnServerError;
}
