import type { DescMethod, DescMethodUnary } from "@bufbuild/protobuf";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import { AuditService } from "../gen/tellwire/v1/audit_service_pb.ts";
import { DeliveryService } from "../gen/tellwire/v1/delivery_service_pb.ts";
import { EventService } from "../gen/tellwire/v1/event_service_pb.ts";
import { OrganizationService } from "../gen/tellwire/v1/organization_service_pb.ts";
import { WebhookService } from "../gen/tellwire/v1/webhook_service_pb.ts";

const services = [WebhookService, EventService, DeliveryService, OrganizationService, AuditService];

/** Every unary method of the contract. */
export const contractMethods: readonly DescMethodUnary[] = services.flatMap(({ methods }) => methods.filter(isUnary));

/** These, and those that need no key. */
export const unaryMethods: readonly DescMethodUnary[] = [...contractMethods, ...Health.methods.filter(isUnary)];

/** The path of a method, in every protocol but REST. */
export function pathOf({ parent, name }: DescMethod): string {
  return `/${parent.typeName}/${name}`;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}
