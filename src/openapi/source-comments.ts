import type { DescEnum, DescFile, DescMessage } from "@bufbuild/protobuf";

/**
 * The comments that stand before declarations in the sources of the files, by descriptor. Descriptors know them only where the compiler kept
 * the source information, as `buf build` does and generated code does not.
 */
export function readSourceComments(files: Iterable<DescFile>): SourceComments {
  const comments = new Map<object, string>();
  for (const file of files) collectFile(file, comments);
  return (descriptor) => comments.get(descriptor) ?? "";
}

/** The comment before a message, field, oneof, enum, value, service or method, as it was written; empty where there is none. */
export type SourceComments = (descriptor: object) => string;

function collectFile(file: DescFile, comments: Map<object, string>): void {
  const byPath = new Map<string, string>();
  for (const { path, leadingComments } of file.proto.sourceCodeInfo?.location ?? []) {
    if (leadingComments !== "") byPath.set(path.join(), leadingComments);
  }
  const note: Note = (descriptor, path) => {
    const comment = byPath.get(path.join());
    if (comment !== undefined) comments.set(descriptor, comment);
  };
  // The numbers are those of the fields of descriptor.proto that lead to a declaration (SourceCodeInfo.Location.path).
  const { proto } = file;
  for (const message of file.messages) collectMessage(message, [4, proto.messageType.indexOf(message.proto)], note);
  for (const each of file.enums) collectEnum(each, [5, proto.enumType.indexOf(each.proto)], note);
  for (const service of file.services) {
    const path = [6, proto.service.indexOf(service.proto)];
    note(service, path);
    for (const method of service.methods) note(method, [...path, 2, service.proto.method.indexOf(method.proto)]);
  }
}

type Note = (descriptor: object, path: readonly number[]) => void;

function collectMessage(message: DescMessage, path: readonly number[], note: Note): void {
  const { proto } = message;
  note(message, path);
  for (const field of message.fields) note(field, [...path, 2, proto.field.indexOf(field.proto)]);
  for (const oneof of message.oneofs) note(oneof, [...path, 8, proto.oneofDecl.indexOf(oneof.proto)]);
  for (const nested of message.nestedMessages) {
    collectMessage(nested, [...path, 3, proto.nestedType.indexOf(nested.proto)], note);
  }
  for (const nested of message.nestedEnums)
    collectEnum(nested, [...path, 4, proto.enumType.indexOf(nested.proto)], note);
}

function collectEnum(descriptor: DescEnum, path: readonly number[], note: Note): void {
  note(descriptor, path);
  for (const value of descriptor.values) note(value, [...path, 2, descriptor.proto.value.indexOf(value.proto)]);
}
